using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Virtio;

namespace Exitless.Vmm;

/// <summary>What can be said of a configuration without touching anything.</summary>
internal static class ConfigChecks
{
    public const int MaxVcpus = 64;

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">vcpus-unsupported, own-cpus-missing, topology-mismatch, memory-not-aligned, too-many-devices, device-twice; see <see cref="VirtioDevices.Check"/>.</exception>
    public static void Check(VmConfig config)
    {
        CheckVcpus(config);
        MemoryChecks.Check(config);
        VirtioDevices.Check(config);
        CheckDevices(config);
    }

    /// <summary>The vCPUs' topology: what was asked for, or one socket of single-threaded cores.</summary>
    public static CpuTopology Topology(VmConfig config) =>
        config.Topology is { } topology ? new CpuTopology(topology.Sockets, topology.Cores, topology.Threads) : CpuTopology.OneSocket(config.Vcpus);

    /// <summary>Checks that RAM ends below what the CPU can address.</summary>
    /// <exception cref="VmmProblemException">memory-too-large.</exception>
    public static void CheckAddresses(VmConfig config, ulong addressEnd)
    {
        var end = (ulong)config.MemoryBytes <= MemoryMap.PciHole ? MemoryMap.FourGibibytes : (ulong)config.MemoryBytes + MemoryMap.FourGibibytes - MemoryMap.PciHole;
        if (end > addressEnd)
            throw new VmmProblemException("memory-too-large", "The VM has more memory than its CPUs can address.", $"Its memory would end at 0x{end:x}; the CPU's addresses end at 0x{addressEnd:x}.", "Give the VM less memory.", "memoryBytes");
    }

    private static void CheckVcpus(VmConfig config)
    {
        if (config.Vcpus is < 1 or > MaxVcpus)
            throw new VmmProblemException("vcpus-unsupported", $"A VM has 1 to {MaxVcpus} vCPUs.", $"{config.Vcpus} were asked for.", $"Set vcpus to a number from 1 to {MaxVcpus}.", "vcpus");
        if (config.Interrupts.OwnCpus && config.VcpuCpus.Distinct().Count() != config.Vcpus)
        {
            throw new VmmProblemException("own-cpus-missing", "A vCPU whose idle instructions do not exit needs a host CPU of its own.",
                $"{config.Vcpus} vCPUs, and {config.VcpuCpus.Distinct().Count()} different host CPUs for them.", "Name one host CPU for each vCPU in vcpuCpus, or leave ownCpus out.", "interrupts.ownCpus");
        }
        if (config.Topology is not { } t)
            return;
        // As long numbers, so that a product that overflows does not look right.
        if (t.Sockets < 1 || t.Cores < 1 || t.Threads < 1 || (long)t.Sockets * t.Cores > MaxVcpus || (long)t.Sockets * t.Cores * t.Threads != config.Vcpus)
        {
            throw new VmmProblemException("topology-mismatch", "The VM's topology does not have as many vCPUs as the VM.",
                $"{t.Sockets} sockets of {t.Cores} cores of {t.Threads} threads were asked for, and {config.Vcpus} vCPUs.", "Choose counts from 1 on whose product is the number of vCPUs.", "topology");
        }
    }

    private static void CheckDevices(VmConfig config)
    {
        var functions = config.Devices.Count + VirtioDevices.Count(config);
        if (functions >= PciBus.Slots)
            throw new VmmProblemException("too-many-devices", "The VM has more devices than its bus has slots.", $"{functions} were asked for; {PciBus.Slots - 1} fit.", "Assign fewer devices.", "devices");
        if (config.Devices.GroupBy(d => d.Address, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new VmmProblemException("device-twice", "A device is assigned twice.", $"{twice.Key} is in the list {twice.Count()} times.", "Name it once.", "devices");
    }
}
