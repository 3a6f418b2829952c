using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Control;

/// <summary>What the agent sends and what the VMM makes of it agree.</summary>
public class DescriptorOrderTests
{
    private static readonly VfioDeviceConfig[] Devices = [new("0000:01:10.0", 8), new("0000:01:10.2", 8), new("0000:02:10.0", 9)];

    [Fact]
    public void Groups_come_behind_their_container()
    {
        using var sent = new VmmDescriptors { Kvm = File(), Kernel = File(), VfioContainer = File(), Groups = [File(), File()] };
        var sorted = DescriptorOrder.Sort(Config(iommufd: false), DescriptorOrder.Of(sent));
        Assert.Same(sent.VfioContainer, sorted.VfioContainer);
        Assert.Equal(sent.Groups, sorted.Groups);
        var devices = sorted.OfDevices(Config(iommufd: false));
        Assert.Same(sent.Groups[1], devices.Groups[9]);
        Assert.Empty(devices.Cdevs);
    }

    [Fact]
    public void Devices_files_come_behind_iommufd_at_the_end()
    {
        using var sent = new VmmDescriptors { Kvm = File(), Kernel = File(), Vsock = File(), Iommufd = File(), Cdevs = [File(), File(), File()] };
        var config = Config(iommufd: true) with { Vsock = new VsockConfig { Cid = 3 } };
        var sorted = DescriptorOrder.Sort(config, DescriptorOrder.Of(sent));
        Assert.Same(sent.Vsock, sorted.Vsock);
        var devices = sorted.OfDevices(config);
        Assert.Same(sent.Iommufd, devices.Iommufd);
        Assert.Same(sent.Cdevs[2], devices.Cdevs["0000:02:10.0"]);
        Assert.Equal((0, true), (devices.Groups.Count, devices.Container is null));
    }

    [Fact]
    public void Too_few_are_refused()
    {
        using var sent = new VmmDescriptors { Kvm = File(), Kernel = File(), Iommufd = File(), Cdevs = [File(), File()] };
        Assert.Equal("vmm-protocol", Assert.Throws<VmmProblemException>(() => DescriptorOrder.Sort(Config(iommufd: true), DescriptorOrder.Of(sent))).Code);
    }

    private static VmConfig Config(bool iommufd) => new()
    {
        VmId = Guid.Empty,
        Name = "vm",
        Vcpus = 1,
        MemoryBytes = 256 << 20,
        CommandLine = "",
        ConsoleLogPath = "",
        HasInitrd = false,
        Devices = Devices,
        Iommufd = iommufd,
    };

    private static SafeFileHandle File() => Files.Open("/dev/null", OpenMode.ReadWrite);
}
