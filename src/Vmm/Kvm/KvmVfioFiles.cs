using Exitless.Linux;
using Exitless.Linux.Kvm;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Kvm;

/// <summary>The files of VFIO that belong to a VM.</summary>
internal interface IKvmVfioFiles : IDisposable
{
    /// <summary>Tells KVM of a group's or device's file.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    void Add(SafeFileHandle file);

    /// <summary>Lets KVM forget it.</summary>
    void Remove(SafeFileHandle file);
}

/// <summary>
/// KVM's VFIO device (Documentation/virt/kvm/devices/vfio.rst): by the files it knows of, KVM decides about memory types and no-snoop DMA. Made with the first file.
/// </summary>
internal sealed class KvmVfioFiles(KvmVm vm) : IKvmVfioFiles
{
    private SafeFileHandle? _device;

    public void Add(SafeFileHandle file)
    {
        _device ??= vm.CreateVfioDevice();
        if (!TrySet(_device, file, KvmDeviceAttribute.VfioFileAdd))
            throw new LinuxException("KVM_DEV_VFIO_FILE_ADD", Ioctl.LastError);
    }

    public void Remove(SafeFileHandle file)
    {
        // KVM forgets a file by itself when the VM ends; a refusal here leaves nothing that could be put right.
        if (_device is not null)
            _ = TrySet(_device, file, KvmDeviceAttribute.VfioFileRemove);
    }

    public void Dispose() => _device?.Dispose();

    private static unsafe bool TrySet(SafeFileHandle device, SafeFileHandle file, ulong operation)
    {
        var descriptor = (int)file.DangerousGetHandle();
        var attribute = new KvmDeviceAttribute { Group = KvmDeviceAttribute.VfioFile, Attribute = operation, Address = (ulong)&descriptor };
        var done = Ioctl.Try(device, KvmRequests.SetDeviceAttribute, ref attribute) >= 0;
        GC.KeepAlive(file);
        return done;
    }
}
