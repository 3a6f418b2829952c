using System.Globalization;
using System.Text.Json.Nodes;
using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>A host with two NVMe controllers: one with a disk, and one whose registers' space has memory in it (a controller memory buffer, NVM Express 1.4 §3.1.11), which others can be told to use.</summary>
public sealed class NvmeHost : BootedHost
{
    internal const string Serial = "exitless-nvme", PeerSerial = "peer";

    /// <inheritdoc />
    protected override LabHostOptions Shape(LabHostOptions options) => options with
    {
        Name = "nvme",
        MemoryMiB = 1536,
        Nics = 1,
        Nvme = true,
        QemuArguments = ["-device", $"nvme,serial={PeerSerial},cmb_size_mb=1,legacy-cmb=on"],
    };
}

/// <summary>NVMe controllers as a whole in a guest that has Linux's driver for them.</summary>
[Collection(NvmeHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class NvmeTests(NvmeHost host)
{
    private const int Blocks = 16, BlockKiB = 64;

    [Fact]
    public async Task A_controller_in_use_is_refused_with_what_uses_it_and_stays_with_the_host()
    {
        var controller = await ControllerAsync(NvmeHost.Serial);
        var disk = await DiskAsync();
        await host.RunAsync($"(sleep 100000 </dev/{disk} >/dev/null 2>&1 & echo $! >/run/holder) && [ -e /proc/$(cat /run/holder) ]");
        await RefusedAsync($"carries /dev/{disk}, which a program has open");
        await host.RunAsync($"kill $(cat /run/holder); dd if=/dev/zero of=/dev/{disk} bs=4k count=2 2>/dev/null; mkswap /dev/{disk} >/dev/null; swapon /dev/{disk}");
        await RefusedAsync($"carries swap (/dev/{disk})");
        // No table tells it any more; the kernel holds it all the same, as it does the members of a pool.
        await host.RunAsync("mount --bind /dev/null /proc/swaps");
        await RefusedAsync($"carries /dev/{disk}, which the host's kernel holds");
        await host.RunAsync($"umount /proc/swaps; swapoff /dev/{disk}");

        async Task RefusedAsync(string reason)
        {
            await using var vm = await host.BootAsync(new JsonObject { ["memoryMib"] = 192, ["devices"] = Devices(controller) });
            Assert.Equal(1, (await vm.WaitForEndAsync()).ExitCode);
            Assert.Contains($"{controller} {reason}", await vm.MessagesAsync(), StringComparison.Ordinal);
            Assert.Equal("nvme", await DriverAsync(controller));
        }
    }

    [Fact]
    public async Task A_controller_serves_the_guest_by_the_interrupts_of_its_queues_and_then_the_host_again()
    {
        var controller = await ControllerAsync(NvmeHost.Serial);
        await using var vm = await host.BootAsync(new JsonObject { ["memoryMib"] = 256, ["vcpus"] = 2, ["devices"] = Devices(controller) });
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until [ -b /dev/nvme0n1 ]; do sleep 0.2; done; echo disk=$(cat /sys/class/nvme/nvme0/serial)", $"disk={NvmeHost.Serial}");
        await vm.TypeAsync("count() { awk -v q=\"nvme0q$1\\$\" '$0 ~ q { print $2 + $3 }' /proc/interrupts; }; sum() { sha256sum | cut -d ' ' -f 1; }");

        // One command after the other, so that each has an interrupt of its own; from each CPU in turn, so that each queue has some.
        var before = await HostInterruptsAsync(controller);
        var words = (await vm.OrderAsync(
            $"a=$(count 1); b=$(count 2); head -c {Blocks * BlockKiB}k /dev/urandom >/run/p; taskset 1 dd if=/run/p of=/dev/nvme0n1 bs={BlockKiB}k oflag=direct 2>/dev/null; "
            + $"sum=$(taskset 2 dd if=/dev/nvme0n1 bs={BlockKiB}k count={Blocks} iflag=direct 2>/dev/null | sum); echo wrote=$(sum </run/p) read=$sum first=$(($(count 1) - a)) second=$(($(count 2) - b))",
            "wrote=.* read=.* second=[0-9]")).Split(' ').Select(w => w.Split('=')[1]).ToArray();
        var after = await HostInterruptsAsync(controller);
        TestContext.Current.TestOutputHelper?.WriteLine($"The guest: {words[2]} and {words[3]} interrupts of its queues for {Blocks} writes and {Blocks} reads; the host: {after - before}.");
        Assert.Equal((64, words[0]), (words[0].Length, words[1]));
        var taken = words[2..].Select(w => int.Parse(w, CultureInfo.InvariantCulture)).ToArray();
        Assert.All(taken, n => Assert.True(n >= Blocks, $"A queue's vector raised {n} interrupts for {Blocks} commands."));
        Assert.True(after - before >= taken.Sum(), $"The host took {after - before}, the guest {taken.Sum()}.");
        // What the driver says when a command does not come back, or its interrupt is missing.
        await vm.OrderAsync("echo lost=$(dmesg | grep -c -i 'nvme.*\\(timeout\\|polled\\|abort\\|reset\\)') inflight=$(cat /sys/block/nvme0n1/inflight | tr -s ' ' _)", "lost=0 inflight=_*0_0");
        await vm.PowerOffAsync();

        // The kernel has reset it, and the host's driver finds it as the guest left it.
        Assert.Equal("nvme", await DriverAsync(controller));
        var disk = await DiskAsync();
        Assert.Equal(words[0], await host.RunAsync($"dd if=/dev/{disk} bs={BlockKiB}k count={Blocks} iflag=direct 2>/dev/null | sha256sum | cut -d ' ' -f 1"));
        Assert.Equal("live", await host.RunAsync($"cat /sys/bus/pci/devices/{controller}/nvme/nvme*/state"));
    }

    /// <summary>The guest tells a controller to have its queues, and what it answers, in the memory of the other one: no byte of that passes through the guest's RAM.</summary>
    [Theory]
    [InlineData(false, "ready=1 completion=0x00011234 serial=0x74697865")]
    [InlineData(true, "ready=[23] completion=0x00000000 serial=0x00000000")]
    public async Task A_device_reaches_the_BAR_of_another_one_unless_that_is_switched_off(bool off, string outcome)
    {
        Assert.SkipUnless(Nightly.IsOn, "Three hundred accesses from the guest's shell take minutes under two layers of emulation, each time; EXITLESS_NIGHTLY=1 runs them.");
        var (asked, memory) = (await ControllerAsync(NvmeHost.Serial), await ControllerAsync(NvmeHost.PeerSerial));
        await using var vm = await host.BootAsync(new JsonObject
        {
            ["memoryMib"] = 192,
            ["noPeerToPeer"] = off,
            ["commandLine"] = "console=ttyS0 quiet iomem=relaxed",
            ["devices"] = Devices(asked, memory),
        });
        await vm.WaitUntilReadyAsync();
        await vm.TypeAsync($"of() {{ until d=$(readlink -f $(dirname $(grep -l $1 /sys/class/nvme/*/serial))/device) && [ -e $d/config ]; do sleep 0.2; done 2>/dev/null; }}; of {NvmeHost.Serial}; a=$d; of {NvmeHost.PeerSerial}; b=$d");
        await vm.TypeAsync("for d in $a $b; do basename $d >/sys/bus/pci/drivers/nvme/unbind; echo 1 >$d/enable; done; printf '\\006\\004' | dd of=$a/config bs=2 seek=2 conv=notrunc 2>/dev/null");
        await vm.TypeAsync("r=$(($(sed -n 1p $a/resource | cut -d ' ' -f 1))); m=$(($(sed -n 3p $b/resource | cut -d ' ' -f 1))); i=0; while [ $i -lt 256 ]; do devmem $((m + 4096 + 4 * (i % 64) + 4096 * (i / 64))) 32 0; i=$((i + 1)); done");
        // Registers (NVM Express 1.4 §3.1): CC 0x14, CSTS 0x1c, AQA 0x24, ASQ 0x28, ACQ 0x30, the first doorbell 0x1000. Submission queue, completion queue and data in pages 1 to 3 of the memory.
        await vm.TypeAsync("at() { devmem $((r + $1)) 32 $2; }; at 0x14 0; at 0x24 0x10001; at 0x28 $((m + 4096)); at 0x2c 0; at 0x30 $((m + 8192)); at 0x34 0; at 0x14 0x460001; until [ $(($(at 0x1c) & 1)) = 1 ]; do sleep 0.1; done");
        // Identify, 1234h, of the controller (CNS 1): the serial number begins at byte 4.
        await vm.TypeAsync("w() { devmem $((m + 4096 + $1)) 32 $2; }; w 0 0x12340006; w 24 $((m + 12288)); w 40 1; at 0x1000 1");
        await vm.OrderAsync(
            "i=0; until [ $(($(at 0x1c) & 2)) = 2 ] || [ $(devmem $((m + 8204)) 32) != 0x00000000 ] || [ $i = 100 ]; do i=$((i + 1)); sleep 0.1; done; echo ready=$(($(at 0x1c))) completion=$(devmem $((m + 8204)) 32) serial=$(devmem $((m + 12292)) 32)",
            outcome);
        await vm.PowerOffAsync();
    }

    private static JsonArray Devices(params string[] addresses) => [.. addresses.Select(a => new JsonObject { ["address"] = a })];

    // The address of the host's controller with a serial number; its driver has it, or takes it again.
    private Task<string> ControllerAsync(string serial) => host.RunAsync($"until c=$(grep -l '^{serial} *$' /sys/class/nvme/*/serial); do sleep 0.2; done; basename $(readlink -f $(dirname $c)/device)");

    // The host's only one; nvme0c0n1, a path to it, is no device node.
    private Task<string> DiskAsync() => host.RunAsync("until d=$(ls -d /sys/block/nvme[0-9]n1 2>/dev/null) && [ -b /dev/${d##*/} ]; do sleep 0.2; done; echo ${d##*/}");

    private Task<string> DriverAsync(string controller) => host.RunAsync($"basename $(readlink /sys/bus/pci/devices/{controller}/driver)");

    private async Task<long> HostInterruptsAsync(string controller) => long.Parse(
        await host.RunAsync($$"""awk -v of='({{controller}})' 'index($0, "vfio-msix[") && index($0, of) { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts"""),
        CultureInfo.InvariantCulture);
}

// Two emulated hosts at once take longer than one after the other.
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class NvmeHostCollection : ICollectionFixture<NvmeHost>
{
    public const string Name = "host with NVMe";
}
