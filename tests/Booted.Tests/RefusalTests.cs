using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>
/// What stands in the way of assigning a device is refused in words, before anything is touched. Each of these hosts lacks one property, so
/// each is booted for its test.
/// </summary>
[Trait("Category", "Lab")]
public sealed class RefusalTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-refusals-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Without_an_IOMMU_or_a_KVM_no_device_is_touched()
    {
        await using var host = await StartAsync("no-iommu", options => options with { Iommu = false });
        await RefusedAsync(host, "no-iommu", "intel_iommu=on");
        await RunAsync(host, "mv /dev/kvm /dev/kvm.away");
        await RefusedAsync(host, "no-kvm", "/dev/kvm");
    }

    [Fact]
    public async Task Without_virtualization_in_the_CPU_there_is_no_VM()
    {
        await using var host = await StartAsync("no-svm", options => options with { Svm = false });
        await RefusedAsync(host, "no-kvm", "/dev/kvm");
        Assert.Contains("The CPU shows neither vmx nor svm", await RunAsync(host, $"{BootedHost.Agent} inventory"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_interrupt_remapping_no_device_is_assigned()
    {
        await using var host = await StartAsync("no-intremap", options => options with { InterruptRemapping = false });
        await RefusedAsync(host, "interrupt-remapping-off", "remapping");
        // Never by the kernel's back door.
        Assert.Equal("N", await RunAsync(host, "cat /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"));
    }

    [Fact]
    public async Task A_device_whose_sibling_has_a_driver_is_refused_with_both_named()
    {
        // Behind a bridge to conventional PCI the IOMMU cannot tell devices apart, so they share a group.
        await using var host = await StartAsync("siblings", options => options with
        {
            QemuArguments =
            [
                "-device", "pcie-pci-bridge,id=conventional", "-device", "virtio-net-pci,bus=conventional,addr=1,romfile=",
                "-device", "virtio-net-pci,bus=conventional,addr=2,romfile=",
            ],
        });
        var members = (await RunAsync(host, """
            for group in /sys/kernel/iommu_groups/*; do
              pair=$(grep -l 0x1af4 $group/devices/*/vendor | wc -l)
              [ $pair -lt 2 ] || for device in $group/devices/*; do [ $(cat $device/vendor) != 0x1af4 ] || basename $device; done
            done
            """)).Split('\n');
        Assert.Equal(2, members.Length);
        var messages = await RefusedAsync(host, "group-not-viable", members[1], members[0]);
        Assert.Contains("virtio-pci", messages, StringComparison.Ordinal);
    }

    private async Task<LabHost> StartAsync(string name, Func<LabHostOptions, LabHostOptions> without) => await LabHost.StartAsync(
        without(new LabHostOptions
        {
            Name = name,
            RunRoot = _folder,
            MemoryMiB = 1024,
            Cpus = 1,
            Files = [new LabFile(Checkout.Agent, BootedHost.Agent)],
        }),
        Cancel);

    // Asks for a VM with a device; it must be refused with this code and these words, and the device must be as it was.
    private static async Task<string> RefusedAsync(LabHost host, string code, string word, string? device = null)
    {
        device ??= await RunAsync(host, "basename $(readlink -f /sys/class/net/eth1/device)");
        var state = $"readlink /sys/bus/pci/devices/{device}/driver; cat /sys/bus/pci/devices/{device}/driver_override; ls /dev/vfio; pidof exitless-agent exitless-vmm | wc -w; find /run/refused -type f 2>/dev/null | wc -l";
        var before = await RunAsync(host, state);
        var messages = await RunAsync(host, $$"""
            cat >/run/spec.json <<'SPEC'
            {"name":"refused","kernel":"{{BootedHost.Kernel}}","initrd":"{{BootedHost.Initrd}}","memoryMib":128,"commandLine":"console=ttyS0","devices":[{"address":"{{device}}"}]}
            SPEC
            {{BootedHost.Agent}} boot /run/spec.json --run-dir /run/refused >/run/refused.out 2>&1 </dev/null
            [ $? -eq 1 ] && cat /run/refused.out
            """);
        Assert.Contains(code, messages, StringComparison.Ordinal);
        Assert.Contains(word, messages, StringComparison.Ordinal);
        Assert.Equal(before, await RunAsync(host, state));
        return messages;
    }

    private static async Task<string> RunAsync(LabHost host, string script)
    {
        var result = await host.ShellAsync(script, Limit, Cancel);
        Assert.True(result.ExitCode == 0, $"`{script}` ended with {result.ExitCode}: {result.Output}{result.Errors}");
        return result.Output.Trim();
    }
}
