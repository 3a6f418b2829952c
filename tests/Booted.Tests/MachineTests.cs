using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>Several vCPUs, huge pages and NUMA nodes, pause, new starts in place, ends told apart, and kernels as ELF files, with a Debian kernel.</summary>
[Collection(BootedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class MachineTests(BootedHost host)
{
    private const int MiB = 1 << 20;

    [Fact]
    public async Task Four_vcpus_in_two_sockets_and_nodes_on_huge_pages_pause_go_on_and_panic()
    {
        SkipByDay();
        const string pool = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
        await host.RunAsync($"echo 100 >{pool}/nr_hugepages");
        await using (var refused = await host.BootAsync(Spec()))
        {
            Assert.Equal(1, (await refused.WaitForEndAsync()).ExitCode);
            Assert.Contains("100 free pages of 2 MiB; 128 are needed", await refused.MessagesAsync());
        }
        Assert.Equal("100", await host.RunAsync($"cat {pool}/free_hugepages"));
        await host.RunAsync($"echo 130 >{pool}/nr_hugepages; [ $(cat {pool}/nr_hugepages) = 130 ]");

        await using var vm = await host.BootAsync(Spec());
        await vm.WaitUntilReadyAsync();
        Assert.Equal("2", await host.RunAsync($"cat {pool}/free_hugepages"));
        await vm.OrderAsync("echo cpus=$(nproc)", "cpus=4");
        await vm.OrderAsync("echo packages=$(cat /sys/devices/system/cpu/cpu[0-9]/topology/physical_package_id | tr '\\n' ,)", "packages=0,0,1,1,");
        await vm.OrderAsync("echo cores=$(cat /sys/devices/system/cpu/cpu[0-9]/topology/core_id | tr '\\n' ,)", "cores=0,1,0,1,");
        await vm.OrderAsync("echo nodes=$(cat /sys/devices/system/node/node[0-9]/cpulist | tr '\\n' ,)", "nodes=0-1,2-3,");
        await vm.OrderAsync("echo distances=$(cat /sys/devices/system/node/node[0-9]/distance | tr '\\n' ,)", "distances=10 20,20 10,");

        await vm.SignalAsync("TSTP");
        await host.RunAsync($"until grep -q 'paused' {vm.Folder}/messages; do sleep 0.3; done");
        var still = (await vm.StatisticsAsync()).GetProperty("vcpus").EnumerateArray().Select(v => v.GetProperty("exits").GetInt64()).ToArray();
        await host.RunAsync("sleep 2");
        Assert.Equal(still, (await vm.StatisticsAsync()).GetProperty("vcpus").EnumerateArray().Select(v => v.GetProperty("exits").GetInt64()));
        await vm.SignalAsync("CONT");
        await vm.OrderAsync("echo awake=$((40+2))", "awake=42");

        await vm.TypeAsync("echo c >/proc/sysrq-trigger");
        var (code, last) = await vm.WaitForEndAsync();
        Assert.Equal((2, "GuestPanic"), (code, last.GetProperty("end").GetProperty("reason").GetString()));
        Assert.Equal("130", await host.RunAsync($"cat {pool}/free_hugepages"));
        await host.RunAsync($"echo 0 >{pool}/nr_hugepages");
        await host.RunAsync($"grep -a 'Kernel panic' {vm.Folder}/console");

        static JsonObject Spec() => new()
        {
            ["memoryMib"] = 256,
            ["vcpus"] = 4,
            ["topology"] = new JsonObject { ["sockets"] = 2, ["cores"] = 2, ["threads"] = 1 },
            ["memory"] = new JsonObject
            {
                ["pageBytes"] = 2 * MiB,
                ["nodes"] = new JsonArray(
                    new JsonObject { ["bytes"] = 160 * MiB, ["hostNode"] = 0, ["vcpus"] = new JsonArray(0, 1) },
                    new JsonObject { ["bytes"] = 96 * MiB, ["hostNode"] = 0, ["vcpus"] = new JsonArray(2, 3) }),
            },
        };
    }

    [Fact]
    public async Task A_guest_with_a_vf_reboots_in_place_and_answers_the_power_button()
    {
        SkipByDay();
        var vf = (await host.VfsAsync(2))[0];
        await using var vm = await host.BootAsync(new JsonObject
        {
            ["memoryMib"] = 256,
            ["vcpus"] = 2,
            ["onReset"] = "Restart",
            ["devices"] = new JsonArray(new JsonObject { ["address"] = vf }),
        });
        const string untilLink = "until [ -e /sys/class/net/eth0 ]; do sleep 1; done; echo link=$((40+2))";
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync(untilLink, "link=42");
        var process = await vm.ProcessIdAsync();
        var before = long.Parse(await host.RunAsync($"wc -c <{vm.Folder}/console"), System.Globalization.CultureInfo.InvariantCulture);
        await vm.TypeAsync("reboot -f");
        await vm.WaitForAsync("exitless: ready", before);
        await vm.OrderAsync(untilLink, "link=42");
        Assert.Equal(process, await vm.ProcessIdAsync());
        await vm.OrderAsync("echo cpus=$(nproc)", "cpus=2");
        Assert.Contains("restart=1 reason=Reset", await vm.MessagesAsync());

        await vm.OrderAsync("until [ -s /run/acpid.pid ]; do sleep 1; done; echo acpid=$((40+2))", "acpid=42");
        await vm.SignalAsync("TERM");
        var (code, last) = await vm.WaitForEndAsync();
        Assert.Equal((0, "PowerOff"), (code, last.GetProperty("end").GetProperty("reason").GetString()));
    }

    [Fact]
    public async Task With_a_split_irqchip_a_guest_has_its_serial_port_its_VF_and_its_power_button()
    {
        SkipByDay();
        var vf = (await host.VfsAsync(2))[0];
        await using var vm = await host.BootAsync(new JsonObject
        {
            ["memoryMib"] = 256,
            ["splitIrqchip"] = true,
            ["commandLine"] = "console=ttyS0 quiet exitless.ip=10.0.4.20/24 exitless.gateway=10.0.4.2 exitless.ping=10.0.4.2 exitless.rate=10 exitless.interval=0",
            ["devices"] = new JsonArray(new JsonObject { ["address"] = vf }),
        });
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");
        await vm.OrderAsync("grep -c 'IO-APIC.*ttyS0' /proc/interrupts | sed s/^/serial=/", "serial=1");
        await vm.OrderAsync("until [ -s /run/acpid.pid ]; do sleep 1; done; echo acpid=$((40+2))", "acpid=42");
        await vm.SignalAsync("TERM");
        var (code, last) = await vm.WaitForEndAsync();
        Assert.Equal((0, "PowerOff"), (code, last.GetProperty("end").GetProperty("reason").GetString()));
    }

    [Fact]
    public async Task An_elf_kernel_boots_by_its_pvh_entry()
    {
        SkipByDay();
        await host.RunAsync($"cp {BootedHost.Kernel} /mnt/share/vmlinuz");
        var image = await File.ReadAllBytesAsync(Path.Combine(host.Share, "vmlinuz"), TestContext.Current.CancellationToken);
        // The compressed vmlinux in a bzImage: Documentation/arch/x86/boot.rst, payload_offset and payload_length.
        var start = ((image[0x1f1] + 1) * 512) + BitConverter.ToInt32(image, 0x248);
        var payload = image.AsMemory(start, BitConverter.ToInt32(image, 0x24c));
        Assert.SkipUnless(payload.Span.StartsWith((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd]), "This kernel is not compressed with Zstandard.");
        var packed = Path.Combine(host.Share, "vmlinux.zst");
        // Behind it there are four bytes with its unpacked size.
        await File.WriteAllBytesAsync(packed, payload[..^4], TestContext.Current.CancellationToken);
        Assert.SkipUnless(await UnpackAsync(packed), "zstd is not installed here, so there is no vmlinux to boot.");

        await using var vm = await host.BootAsync(new JsonObject { ["memoryMib"] = 320, ["kernel"] = "/mnt/share/vmlinux" });
        await vm.WaitUntilReadyAsync();
        await vm.PowerOffAsync();
    }

    private static async Task<bool> UnpackAsync(string file)
    {
        try
        {
            using var zstd = Process.Start(new ProcessStartInfo("zstd", ["-d", "-q", "-f", file]))!;
            await zstd.WaitForExitAsync(TestContext.Current.CancellationToken);
            return zstd.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static void SkipByDay() =>
        Assert.SkipUnless(Nightly.IsOn, "These take five minutes together; EXITLESS_NIGHTLY=1 runs them.");
}
