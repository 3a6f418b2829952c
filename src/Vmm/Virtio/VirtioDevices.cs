using Exitless.Vmm.Boot.FromDisk;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Disks;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;
using Exitless.Vmm.Seed;
using Exitless.Vmm.Virtio.Vsock;

namespace Exitless.Vmm.Virtio;

/// <summary>The paravirtual devices of a VM: opened before the VM is made, so that what is wrong with a disk is said first, then put on its bus.</summary>
internal sealed class VirtioDevices
{
    private readonly List<VirtioDevice> _devices = [];

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">See <see cref="DiskOpening.Check"/> and <see cref="NoCloudSeed.Check"/>, <see cref="VirtioVsock.Check"/>.</exception>
    public static void Check(VmConfig config)
    {
        DiskOpening.Check(config.Disks);
        DiskBoot.Check(config);
        for (var i = 0; i < config.Networks.Count; i++)
            VirtioNet.ParseMac(config.Networks[i].Mac, $"networks[{i}].mac");
        if (config.Seed is { } seed)
            NoCloudSeed.Check(seed);
        if (config.Vsock is { } vsock)
            VirtioVsock.Check(vsock);
    }

    /// <summary>How many devices the configuration asks for.</summary>
    public static int Count(VmConfig config) =>
        config.Disks.Count + config.Networks.Count + (config.Seed is null ? 0 : 1) + (config.Entropy ? 1 : 0) + (config.VirtioConsole ? 1 : 0) + (config.Vsock is null ? 0 : 1);

    /// <summary>The console, if the VM has one of these.</summary>
    public VirtioConsole? Console { get; private set; }

    /// <summary>How many MSI-X vectors all of them have: one for each queue and one for changes of the configuration.</summary>
    public int VectorCount => _devices.Sum(VectorsOf);

    /// <summary>Opens them all.</summary>
    /// <param name="config">What to launch.</param>
    /// <param name="descriptors">Their files, which go over to the devices.</param>
    /// <param name="console">Where a console's output goes.</param>
    /// <param name="owned">Where what is made goes, to be released.</param>
    /// <exception cref="VmmProblemException">See <see cref="DiskOpening"/>.</exception>
    public static VirtioDevices Open(VmConfig config, VmmDescriptors descriptors, ConsoleRing console, DisposeStack owned)
    {
        var all = new VirtioDevices();
        var next = 0;
        for (var i = 0; i < config.Disks.Count; i++)
        {
            var disk = config.Disks[i];
            var files = 1 + disk.BackingFormats.Count;
            var opened = DiskOpening.Open(disk, descriptors.Disks.Skip(next).Take(files).ToArray(), $"disks[{i}]");
            all.Add(new VirtioBlock(disk.Id, disk.Serial.Length > 0 ? disk.Serial : disk.Id, opened), owned);
            next += files;
        }
        // After the others, so that a seed never takes the place of the root disk.
        if (config.Seed is { } seed)
            all.Add(new VirtioBlock(NoCloudSeed.DiskId, NoCloudSeed.DiskId, DiskOpening.Open(new DiskConfig { Id = NoCloudSeed.DiskId, IsReadOnly = true }, [NoCloudSeed.Make(config, seed)], "seed")), owned);
        for (var i = 0; i < config.Networks.Count; i++)
            all.Add(VirtioNet.Open(config.Networks[i], descriptors.Taps[i], i), owned);
        if (config.Entropy)
            all.Add(new VirtioEntropy(TimeProvider.System), owned);
        if (config.VirtioConsole)
            all.Add(all.Console = new VirtioConsole(console), owned);
        if (config.Vsock is { } vsock)
            all.Add(VirtioVsock.Open(vsock, descriptors.Vsock!), owned);
        return all;
    }

    /// <summary>Puts them on the bus and starts their workers.</summary>
    public List<VirtioFunction> Attach(PciBus bus, KvmVm vm, GsiRoutes routes, GuestMemory memory, DisposeStack owned)
    {
        var ram = new GuestRam(memory.Ranges);
        var functions = new List<VirtioFunction>();
        foreach (var device in _devices)
        {
            var address = (uint)(MemoryMap.VirtioBars + ((ulong)functions.Count * VirtioConfigSpace.BarBytes));
            // Released the other way round: no notices any more, then the worker, then the interrupts.
            var vectors = owned.Push(new VirtioVectors(vm, routes, VectorsOf(device)));
            var function = new VirtioFunction(device, ram, vectors, vm, address);
            owned.Push(new VirtioWorker(device, VmmLog.Write));
            owned.Push(function);
            bus.Add(function);
            functions.Add(function);
        }
        return functions;
    }

    private static int VectorsOf(VirtioDevice device) => device.Queues.Length + 1;

    private void Add(VirtioDevice device, DisposeStack owned) => _devices.Add(owned.Push(device));
}
