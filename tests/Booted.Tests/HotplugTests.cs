using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>A VF comes into a running guest and goes again, while another one carries traffic.</summary>
[Collection(BootedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class HotplugTests(BootedHost host)
{
    private const int Few = 4, Many = 50;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task Plugging_a_VF_in_and_out_leaks_nothing_and_disturbs_no_other_VF()
    {
        var cycles = Nightly.IsOn ? Many : Few;
        var vfs = await host.VfsAsync(2);
        await host.RunAsync($"echo vfio-pci >/sys/bus/pci/devices/{vfs[1]}/driver_override; echo {vfs[1]} >/sys/bus/pci/drivers_probe");
        await LastExits.WatchAsync(host);
        try
        {
            await using var vm = await host.BootAsync(new JsonObject
            {
                ["memoryMib"] = 256,
                ["commandLine"] = "console=ttyS0 quiet exitless.ip=10.0.4.20/24 exitless.gateway=10.0.4.2 exitless.ping=10.0.4.2 exitless.rate=10 exitless.interval=0",
                ["devices"] = new JsonArray(new JsonObject { ["address"] = vfs[0] }),
            });
            await vm.WaitUntilReadyAsync();
            await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");

            // The first one makes what stays: threads of the runtime, code that had not run.
            await CycleAsync(vm, vfs[1]);
            var before = await HeldAsync(vm);
            for (var i = 0; i < cycles; i++)
                await CycleAsync(vm, vfs[1]);
            var after = await HeldAsync(vm);
            var ping = await vm.OrderAsync("stop-ping", "exitless: ping state=stopped");

            TestContext.Current.TestOutputHelper?.WriteLine($"{cycles} times: before {before}, after {after}; {ping}");
            Assert.Equal(before with { PrivateKb = 0 }, after with { PrivateKb = 0 });
            // Garbage may pile up to 2 MiB before it is collected (VmmProcess.Environment).
            Assert.InRange(after.PrivateKb, 0, before.PrivateKb + 4096);
            Assert.Contains(" lost=0 ", ping + " ", StringComparison.Ordinal);
            Assert.Contains(" outstanding=0 ", ping + " ", StringComparison.Ordinal);
            Assert.DoesNotContain("change=Forced", await vm.MessagesAsync(), StringComparison.Ordinal);
            await vm.PowerOffAsync();
        }
        catch (Exception e) when (e is InvalidOperationException or Xunit.Sdk.XunitException)
        {
            throw new InvalidOperationException($"{e.Message}\n== the guest's last exits\n{await LastExits.TakeAsync(host)}", e);
        }
        finally
        {
            await LastExits.EndAsync(host);
            await host.RunAsync($"echo {vfs[1]} >/sys/bus/pci/drivers/vfio-pci/unbind; echo >/sys/bus/pci/devices/{vfs[1]}/driver_override");
        }
    }

    // The guest's driver takes the VF into use, so that it has vectors, routes and DMA of its own when it is asked back.
    private async Task CycleAsync(BootedVm vm, string vf)
    {
        await host.RunAsync($"{BootedHost.Agent} attach {vf} --socket {vm.Socket}", Limit);
        await vm.OrderAsync("until ip link set eth1 up 2>/dev/null; do sleep 0.2; done; echo plugged=$((40+2))", "plugged=42");
        await host.RunAsync($"{BootedHost.Agent} detach {vf} --socket {vm.Socket} --limit 150", Limit);
        await vm.OrderAsync("until [ ! -e /sys/class/net/eth1 ]; do sleep 0.2; done; echo unplugged=$((40+2))", "unplugged=42");
    }

    private async Task<Held> HeldAsync(BootedVm vm)
    {
        var statistics = await vm.StatisticsAsync();
        var process = statistics.GetProperty("processId").GetInt32();
        var resources = statistics.GetProperty("resources");
        var numbers = (await host.RunAsync($$"""
            ls /proc/{{process}}/fd | wc -l
            ls -l /proc/{{process}}/fd | grep -c eventfd
            awk '/^Size:/ {size = $2} /^Private_Dirty:/ {if (size < 200000) sum += $2} END {print sum}' /proc/{{process}}/smaps
            awk '/^VmPin:/ {print $2}' /proc/{{process}}/status
            awk '/^VmLck:/ {print $2}' /proc/{{process}}/status
            grep -c 'vfio-msix' /proc/interrupts
            """)).Split('\n').Select(n => long.Parse(n, System.Globalization.CultureInfo.InvariantCulture)).ToArray();
        return new Held(
            numbers[0], numbers[1], resources.GetProperty("gsis").GetInt32(), resources.GetProperty("memorySlots").GetInt32(), resources.GetProperty("dmaMappingsLeft").GetInt64(),
            numbers[3] + numbers[4], numbers[5], numbers[2]);
    }

    private sealed record Held(long Descriptors, long EventFds, int Gsis, int MemorySlots, long DmaMappingsLeft, long LockedKb, long HostVectors, long PrivateKb);
}
