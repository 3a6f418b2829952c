using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Kvm;

/// <summary>/dev/kvm: what this host's KVM is able to do, and new VMs. Documentation/virt/kvm/api.rst.</summary>
internal sealed class KvmSystem
{
    private const int ApiVersion = 12;
    private const int MaxCpuidEntries = 512;
    private readonly SafeFileHandle _file;

    /// <summary>Takes an opened /dev/kvm, which stays the caller's.</summary>
    /// <exception cref="VmmProblemException">no-kvm.</exception>
    public KvmSystem(SafeFileHandle file)
    {
        _file = file;
        var version = Ioctl.Try(file, KvmRequests.GetApiVersion);
        if (version != ApiVersion)
        {
            throw NoKvm(version < 0
                ? $"The descriptor passed as /dev/kvm is not KVM's: {new LinuxException("KVM_GET_API_VERSION", Ioctl.LastError).Message}."
                : $"KVM speaks API version {version}; {ApiVersion} is the only stable one.");
        }
        foreach (var (capability, name) in Needed)
        {
            if (CheckExtension(capability) <= 0)
                throw NoKvm($"This host's KVM lacks {name}.");
        }
    }

    private static (int Capability, string Name)[] Needed =>
    [
        (KvmCapabilities.IrqRouting, "KVM_CAP_IRQ_ROUTING"), (KvmCapabilities.Irqfd, "KVM_CAP_IRQFD"),
        (KvmCapabilities.ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"), (KvmCapabilities.BinaryStatistics, "KVM_CAP_BINARY_STATS_FD"),
    ];

    public int CheckExtension(int capability) => Ioctl.Try(_file, KvmRequests.CheckExtension, capability);

    public int VcpuPageBytes => Ioctl.Call(_file, KvmRequests.GetVcpuMmapSize, "KVM_GET_VCPU_MMAP_SIZE");

    public KvmVm CreateVm()
    {
        var descriptor = Ioctl.Try(_file, KvmRequests.CreateVm);
        return descriptor < 0 ? throw NoKvm($"KVM would not create a VM: {new LinuxException("KVM_CREATE_VM", Ioctl.LastError).Message}.") : new KvmVm(new SafeFileHandle(descriptor, ownsHandle: true), VcpuPageBytes);
    }

    /// <summary>Checks how many vCPUs KVM gives one VM (KVM_CAP_MAX_VCPUS, and KVM_CAP_MAX_VCPU_ID for their APIC ids). KVM_CAP_NR_VCPUS only recommends.</summary>
    /// <exception cref="VmmProblemException">vcpus-beyond-kvm.</exception>
    public void CheckVcpus(CpuTopology topology)
    {
        // Where KVM does not tell: Documentation/virt/kvm/api.rst, section 4.7.
        const int untoldVcpus = 4;
        var recommended = CheckExtension(KvmCapabilities.RecommendedVcpus) is var r and > 0 ? r : untoldVcpus;
        var most = CheckExtension(KvmCapabilities.MaxVcpus) is var m and > 0 ? m : recommended;
        var ids = CheckExtension(KvmCapabilities.MaxVcpuId) is var i and > 0 ? i : most;
        if (topology.Count > most)
        {
            throw new VmmProblemException("vcpus-beyond-kvm", "The VM has more vCPUs than this host's KVM gives one VM.",
                $"{topology.Count} were asked for; KVM gives at most {most} and recommends at most {recommended} on this host.", $"Set vcpus to {most} or fewer.", "vcpus");
        }
        if (topology.HighestApicId >= (uint)ids)
        {
            throw new VmmProblemException("vcpus-beyond-kvm", "The VM's topology needs higher APIC ids than this host's KVM gives.",
                $"{topology.Sockets} sockets of {topology.Cores} cores of {topology.Threads} threads number up to {topology.HighestApicId}; KVM's ids end at {ids - 1}.",
                "Choose counts of cores and threads that are powers of two, or fewer vCPUs.", "topology");
        }
    }

    /// <summary>The CPUID leaves that KVM can give a guest on this host.</summary>
    public KvmCpuidEntry[] SupportedCpuid()
    {
        var buffer = new byte[8 + (MaxCpuidEntries * Marshal.SizeOf<KvmCpuidEntry>())];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, MaxCpuidEntries);
        Ioctl.Call(_file, KvmRequests.GetSupportedCpuid, "KVM_GET_SUPPORTED_CPUID", buffer);
        var count = BinaryPrimitives.ReadInt32LittleEndian(buffer);
        return MemoryMarshal.Cast<byte, KvmCpuidEntry>(buffer.AsSpan(8))[..count].ToArray();
    }

    /// <summary>The model-specific registers that hold a guest's state: those that KVM lists, and the memory type ranges, which older versions of it leave out.</summary>
    public uint[] MsrIndices()
    {
        const int most = 4096;
        var buffer = new byte[4 + (most * sizeof(uint))];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, most);
        Ioctl.Call(_file, KvmRequests.GetMsrIndexList, "KVM_GET_MSR_INDEX_LIST", buffer);
        var listed = MemoryMarshal.Cast<byte, uint>(buffer.AsSpan(4))[..BinaryPrimitives.ReadInt32LittleEndian(buffer)].ToArray();
        uint[] memoryTypes = [0x2ff, 0x250, 0x258, 0x259, .. Enumerable.Range(0x268, 8).Select(i => (uint)i), .. Enumerable.Range(0x200, 16).Select(i => (uint)i)];
        return [.. listed.Union(memoryTypes)];
    }

    private static VmmProblemException NoKvm(string detail) => new(
        "no-kvm", "This host cannot run VMs.", detail, "Load kvm_intel or kvm_amd, switch virtualization on in the firmware, and use Linux 5.14 or later.");
}
