using System.Globalization;

namespace Exitless.Booted.Tests;

/// <summary>Direct interrupts (src/Eli): the guest counts what the host does not see.</summary>
[Collection(EliHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class EliTests(EliHost host)
{
    private const int Pings = 500;

    [Fact]
    public async Task Device_interrupts_reach_the_guest_and_end_there_without_the_host()
    {
        Assert.SkipWhen(host.Missing is not null, host.Missing ?? "");
        var vf = (await host.VfsAsync(1))[0];
        await using var vm = await host.BootAsync(EliHost.Guest(vf, $"exitless.rate=50 exitless.count={Pings}"));
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'state=running'; do sleep 1; done; echo flows=$((40+2))", "flows=42");
        var (guestBefore, hostBefore) = (await GuestCountAsync(vm), await HostCountAsync());
        var ping = await vm.OrderAsync("until report ping | grep -q 'state=stopped'; do sleep 1; done; report ping", "^exitless: ping state=stopped");
        var (byGuest, byHost) = (await GuestCountAsync(vm) - guestBefore, await HostCountAsync() - hostBefore);
        var vcpu = (await vm.StatisticsAsync()).GetProperty("vcpus")[0];
        TestContext.Current.TestOutputHelper?.WriteLine($"{byGuest} device interrupts by the guest's count, {byHost} seen by the host; {ping}; {vcpu.GetProperty("eli_direct_entries")} direct entries, {vcpu.GetProperty("eli_resent")} resent");

        Assert.Contains($"received={Pings} outstanding=0 lost=0", ping, StringComparison.Ordinal);
        Assert.True(byGuest >= Pings / 2, $"The guest counted {byGuest} device interrupts for {Pings} answers.");
        Assert.True(byHost * 2 < byGuest, $"The host saw {byHost} of {byGuest} device interrupts: they were not direct.");
        Assert.Equal(0, vcpu.GetProperty("eli_swallowed").GetInt64());
        Assert.Equal("", await host.WarningsAsync());
        await vm.PowerOffAsync();
    }

    private static async Task<long> GuestCountAsync(BootedVm vm) => (await vm.OrderAsync("report irq", "^exitless: irq")).Split(' ')
        .Where(w => w.StartsWith("eth0", StringComparison.Ordinal)).Sum(w => long.Parse(w.Split('=')[1], CultureInfo.InvariantCulture));

    private async Task<long> HostCountAsync() =>
        long.Parse(await host.RunAsync("awk '/vfio-msix/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts"), CultureInfo.InvariantCulture);
}
