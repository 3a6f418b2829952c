using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>A host with one CPU, whose vectors (256, less the exceptions and the kernel's own) are all the interrupts that it can take, and a controller with more MSI-X vectors than that.</summary>
public sealed class OneCpuHost : BootedHost
{
    internal const int ControllerVectors = 256;

    /// <inheritdoc />
    protected override LabHostOptions Shape(LabHostOptions options) => options with
    {
        Name = "onecpu",
        Cpus = 1,
        MemoryMiB = 1024,
        Nics = 1,
        QemuArguments = ["-device", string.Create(CultureInfo.InvariantCulture, $"nvme,serial=many,msix_qsize={ControllerVectors}")],
    };
}

/// <summary>MSI-X vectors until the host has none left.</summary>
[Trait("Category", "Lab")]
public sealed partial class VectorExhaustionTests(OneCpuHost host) : IClassFixture<OneCpuHost>
{
    [Fact]
    public async Task Vectors_that_the_host_does_not_have_are_refused_with_the_count_and_everything_else_goes_on()
    {
        Assert.SkipUnless(Nightly.IsOn, "It takes five minutes and a host of its own; EXITLESS_NIGHTLY=1 runs it.");
        var vf = (await host.VfsAsync(1))[0];
        var controller = await host.RunAsync("basename $(dirname $(grep -l 0x010802 /sys/bus/pci/devices/*/class))");
        await using var vm = await host.BootAsync(new JsonObject
        {
            ["memoryMib"] = 192,
            ["commandLine"] = "console=ttyS0 quiet iomem=relaxed exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.rate=4 exitless.interval=0",
            ["devices"] = new JsonArray(new JsonObject { ["address"] = vf }, new JsonObject { ["address"] = controller }),
        });
        await vm.WaitUntilReadyAsync();
        await vm.OrderAsync("until report ping | grep -q 'received=[1-9]'; do sleep 1; done; echo flows=$((40+2))", "flows=42");
        var others = await VectorsAsync(vf);

        // The guest has no driver for the controller: its shell opens every vector, behind the function's mask, and then takes that away.
        await vm.TypeAsync("d=$(dirname $(grep -l 0x010802 /sys/bus/pci/devices/*/class)); at() { hexdump -s $1 -n $2 -e '1/'$2' \"%u\"' $d/config; }");
        await vm.TypeAsync("p=$(at 52 1); until [ $(at $p 1) = 17 ]; do p=$(at $((p + 1)) 1); done; echo 1 >$d/enable");
        await vm.TypeAsync("read -r bar rest <$d/resource; table=$((bar + $(at $((p + 4)) 4) / 8 * 8)); control() { printf $1 | dd of=$d/config bs=1 seek=$((p + 3)) conv=notrunc 2>/dev/null; }");
        await vm.OrderAsync("control '\\300'; i=0; while [ $i -lt 256 ]; do devmem $((table + 16 * i + 12)) 32 0; i=$((i + 1)); done; echo written=$((40+2))", "written=42");
        for (var round = 0; round < 2; round++)
        {
            await vm.OrderAsync("control '\\200'; echo opened=$((40+2))", "opened=42");
            var taken = await VectorsAsync(controller);
            TestContext.Current.TestOutputHelper?.WriteLine($"{taken} of {OneCpuHost.ControllerVectors} vectors; {await vm.MessagesAsync()}");
            Assert.InRange(taken, 100, OneCpuHost.ControllerVectors - 1);
            // Told once for a device, however often its guest runs into it.
            var told = Assert.Single(Refusal().Matches(await vm.MessagesAsync()));
            Assert.Equal(controller, told.Groups[1].Value);
            Assert.Equal(taken, int.Parse(told.Groups[2].Value, CultureInfo.InvariantCulture));
            // Switching MSI-X off gives all of them back.
            await vm.OrderAsync("control '\\100'; echo closed=$((40+2))", "closed=42");
            Assert.Equal(0, await VectorsAsync(controller));
        }
        Assert.Equal(others, await VectorsAsync(vf));
        var ping = await vm.OrderAsync("stop-ping", "exitless: ping state=stopped");
        Assert.Contains(" lost=0 ", ping + " ", StringComparison.Ordinal);
        await vm.PowerOffAsync();
    }

    private async Task<int> VectorsAsync(string function) =>
        int.Parse(await host.RunAsync($"grep -F vfio-msix /proc/interrupts | grep -cF '({function})' || true"), CultureInfo.InvariantCulture);

    [GeneratedRegex(@"device=(\S+) change=InterruptRefused .*no interrupt vector or remapping entry left .*; (\d+) of its vectors are in use")]
    private static partial Regex Refusal();
}
