using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Control;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

public class VfioDeviceTests
{
    private readonly ScriptedVfio _vfio = new();

    [Fact]
    public void The_device_is_reset_and_its_regions_and_vectors_are_known()
    {
        using var device = Open();
        Assert.Equal(["reset"], _vfio.Journal);
        Assert.Equal([0ul, 0, 0, 0x4000, 0, 0], device.Bars.Select(b => b.Size));
        Assert.Equal((ScriptedVfio.BarOffset, true, false), (device.Bars[3].Offset, device.Bars[3].Mappable, device.Bars[3].MsixMappable));
        Assert.Null(device.Bars[3].SparseAreas);
        Assert.Equal((4096ul, false), (device.Config.Size, device.Config.Mappable));
        Assert.Equal((3, true), (device.InterruptCount(VfioInterrupt.Msix), device.MsixGrows));
        Assert.Equal((1, 0, 1, 1), (device.InterruptCount(VfioInterrupt.Intx), device.InterruptCount(VfioInterrupt.Msi), device.InterruptCount(VfioInterrupt.Error), device.InterruptCount(VfioInterrupt.Request)));
    }

    [Fact]
    public void A_device_without_reset_is_not_reset_and_one_that_cannot_grow_says_so()
    {
        _vfio.DeviceFlags = VfioRequests.DeviceIsPci;
        _vfio.IrqFlags = 1 | VfioRequests.IrqNoResize;
        using var device = Open();
        Assert.Empty(_vfio.Journal);
        Assert.False(device.MsixGrows);
    }

    [Fact]
    public void Areas_come_from_the_chain_of_capabilities_however_long_it_is()
    {
        _vfio.MsixMappable = true;
        _vfio.Padding = 2;
        _vfio.Sparse = [.. Enumerable.Range(0, 300).Select(i => ((ulong)i * 0x2000, 0x1000ul))];
        using var device = Open();
        Assert.True(device.Bars[3].MsixMappable);
        Assert.Equal(_vfio.Sparse, device.Bars[3].SparseAreas);
    }

    [Fact]
    public void Reads_and_writes_go_through_the_descriptor_and_fail_as_a_bus_does()
    {
        using var device = Open();
        device.Write(device.Bars[3], 0x3ff8, [1, 2, 3, 4]);
        var data = new byte[4];
        device.Read(device.Bars[3], 0x3ff8, data);
        Assert.Equal([1, 2, 3, 4], data);
        using (var mapping = device.Map(device.Bars[3], 0x3000, 0x1000))
            Assert.Equal(0x1000ul, mapping.Length);
        device.Read(device.Bars[3], 1 << 30, data);
        Assert.Equal([0xff, 0xff, 0xff, 0xff], data);
    }

    [Fact]
    public void Vectors_are_given_as_the_kernel_expects_them_and_taken_back_with_none()
    {
        using var device = Open();
        using var trigger = new EventFd();
        Assert.Equal(0, device.TrySetTriggers(VfioInterrupt.Msix, 1, [trigger, null]));
        Assert.Equal([28, 0x24, 2, 1, 2, (int)trigger.Handle.DangerousGetHandle(), -1], _vfio.LastIrqs);
        Assert.Equal(0, device.TrySetTriggers(VfioInterrupt.Msix, 0, new EventFd?[40]));
        Assert.Equal(45, _vfio.LastIrqs.Length);
        device.Disable(VfioInterrupt.Msix);
        // No data and a count of zero: with another count it would fire the vectors.
        Assert.Equal([20, 0x21, 2, 0, 0], _vfio.LastIrqs);
        Assert.True(device.TrySetUnmask(trigger));
        Assert.Equal([24, 0x14, 0, 0, 1, (int)trigger.Handle.DangerousGetHandle()], _vfio.LastIrqs);
        _vfio.Refuse(VfioRequests.DeviceSetIrqs, Errno.NoSpace);
        Assert.Equal(-1, device.TrySetTriggers(VfioInterrupt.Msix, 0, [trigger]));
    }

    [Theory]
    [InlineData("in use", "device-in-use")]
    [InlineData("elsewhere", "device-not-in-group")]
    [InlineData("no PCI", "device-not-pci")]
    [InlineData("no reset", "device-reset-failed")]
    public void A_device_that_cannot_be_had_is_named_and_closed(string defect, string code)
    {
        switch (defect)
        {
            case "in use": _vfio.Refuse(VfioRequests.GroupGetDeviceFd, Errno.Busy); break;
            case "elsewhere": _vfio.Refuse(VfioRequests.GroupGetDeviceFd, Errno.NoDevice); break;
            case "no PCI": _vfio.DeviceFlags = 1 << 2; break;
            case "no reset": _vfio.Refuse(VfioRequests.DeviceReset, Errno.InputOutput); break;
            default: Assert.Fail(defect); break;
        }
        var problem = Assert.Throws<VmmProblemException>(() => Open());
        Assert.Equal((code, "devices[0]"), (problem.Code, problem.Field));
        Assert.Contains("0000:01:10.0", problem.Detail, StringComparison.Ordinal);
        Assert.NotEmpty(problem.Remedy);
        if (_vfio.DeviceDescriptor >= 0)
            Assert.DoesNotContain("memfd:device", Target(_vfio.DeviceDescriptor), StringComparison.Ordinal);
    }

    private static string Target(int descriptor) => new FileInfo($"/proc/self/fd/{descriptor}").LinkTarget ?? "";

    private VfioDevice Open()
    {
        using var group = Files.Open("/dev/null", OpenMode.ReadWrite);
        return VfioDevice.FromGroup(_vfio, group, "0000:01:10.0", "devices[0]");
    }
}
