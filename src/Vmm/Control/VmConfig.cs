namespace Exitless.Vmm.Control;

/// <summary>One VM to launch. Everything that needs privilege comes beside it as descriptors, see <see cref="VmmDescriptors"/>.</summary>
public sealed record VmConfig
{
    /// <summary>The VM's id.</summary>
    public required Guid VmId { get; init; }

    /// <summary>The VM's name, for people.</summary>
    public required string Name { get; init; }

    /// <summary>How many vCPUs the guest has: 1 to 64, and no more than the host's KVM gives a VM.</summary>
    public required int Vcpus { get; init; }

    /// <summary>How the guest sees its vCPUs grouped; null: one socket of <see cref="Vcpus"/> cores, each with one thread.</summary>
    public VmTopology? Topology { get; init; }

    /// <summary>Guest memory in bytes, a multiple of 2 MiB.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>What guest memory is made of; null: ordinary pages from anywhere, supplied when they are first touched.</summary>
    public VmMemory? Memory { get; init; }

    /// <summary>What happens when the guest resets, or panics and says so.</summary>
    public VmOnReset OnReset { get; init; }

    /// <summary>The kernel's command line.</summary>
    public required string CommandLine { get; init; }

    /// <summary>File that receives everything the guest writes to its console (appended; one older file is kept beside it). Empty: none.</summary>
    public required string ConsoleLogPath { get; init; }

    /// <summary>True if <see cref="VmmDescriptors.Initrd"/> is given.</summary>
    public required bool HasInitrd { get; init; }

    /// <summary>
    /// Host CPUs that vCPU threads are pinned to, by vCPU; empty or shorter: the others run anywhere. A device's host vectors are best
    /// steered to the CPU of the vCPU that takes them (/proc/irq/N/smp_affinity).
    /// </summary>
    // The JSON reader sets absent members to null.
    public IReadOnlyList<int> VcpuCpus { get => field ?? []; init; }

    /// <summary>How interrupts reach the guest.</summary>
    public VmInterrupts Interrupts { get => field ?? new(); init; }

    /// <summary>Devices that the guest owns.</summary>
    public required IReadOnlyList<VfioDeviceConfig> Devices { get; init; }

    /// <summary>True: the devices come by iommufd and their own files (<see cref="VmmDescriptors.Cdevs"/>) instead of by their groups. The agent says it, by what it passes.</summary>
    public bool Iommufd { get; init; }

    /// <summary>Virtio disks, in the order in which the guest finds them.</summary>
    public IReadOnlyList<DiskConfig> Disks { get => field ?? []; init; }

    /// <summary>True: assigned devices do not reach each other's memory by DMA. Otherwise they do where the host lets them, and where it does not nothing fails.</summary>
    public bool NoPeerToPeer { get; init; }

    /// <summary>
    /// True: KVM has the local APICs alone, and the IOAPIC is this process's: less of the kernel for a guest to reach, but no INTx of assigned devices, since KVM then cannot tell when the guest
    /// ends a level-triggered interrupt. False: the whole irqchip is KVM's, without a PIT.
    /// </summary>
    public bool SplitIrqchip { get; init; }

    /// <summary>
    /// The id of the disk whose own boot loader's default entry is booted: kernel, initrd and command line are read out of it, and <see cref="CommandLine"/> is
    /// put behind the loader's. Empty: the kernel comes as a descriptor.
    /// </summary>
    public string BootDisk { get => field ?? ""; init; }

    /// <summary>True: a virtio device gives the guest random numbers.</summary>
    public bool Entropy { get; init; }

    /// <summary>True: a virtio console (hvc0) beside the serial port; both write to the same console, and once its driver is up it takes what is typed.</summary>
    public bool VirtioConsole { get; init; }

    /// <summary>Virtio network links, in the order in which the guest finds them.</summary>
    public IReadOnlyList<NetConfig> Networks { get => field ?? []; init; }

    /// <summary>What cloud-init in the guest is told; null: nothing.</summary>
    public SeedConfig? Seed { get; init; }

    /// <summary>Stream sockets between guest and host; null: none.</summary>
    public VsockConfig? Vsock { get; init; }
}

/// <summary>Sockets, cores and threads; their product is the number of vCPUs. Threads of a core are neighbours in the order of vCPUs, then cores of a socket.</summary>
/// <param name="Sockets">Sockets.</param>
/// <param name="Cores">Cores of a socket.</param>
/// <param name="Threads">Threads of a core.</param>
public sealed record VmTopology(int Sockets, int Cores, int Threads);

/// <summary>One PCI device assigned through VFIO.</summary>
/// <param name="Address">Its address on the host, dddd:bb:dd.f in lower case.</param>
/// <param name="IommuGroup">Its IOMMU group; the group's descriptor is in <see cref="VmmDescriptors.Groups"/>, unless the device comes by iommufd.</param>
public sealed record VfioDeviceConfig(string Address, int IommuGroup);
