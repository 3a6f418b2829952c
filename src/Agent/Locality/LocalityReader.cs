using System.Globalization;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Locality;

/// <summary>Reads where a VM's interrupts, vCPUs, devices and memory are, from /proc, /sys and the VM's own process.</summary>
internal sealed class LocalityReader(HostRoot root)
{
    /// <exception cref="IOException">The VM's process does not answer.</exception>
    /// <exception cref="VmmProblemException">It runs no guest.</exception>
    public async Task<Contracts.Locality> ReadAsync(RunningVm vm, CancellationToken stop) => Read(vm.ProcessId, await vm.Client.TakeVectorsAsync(stop));

    internal Contracts.Locality Read(int processId, IReadOnlyList<DeviceVectors> devices)
    {
        var locality = new Contracts.Locality();
        foreach (var device in devices)
        {
            var place = new DevicePlace { Address = device.Address };
            if (SysfsFile.Number(root.Sys($"bus/pci/devices/{device.Address}/numa_node")) is >= 0 and var node)
                place.Node = (uint)node;
            locality.Devices.Add(place);
            var irqs = Interrupts(device.Address);
            foreach (var vector in device.Vectors)
                locality.Vectors.Add(Place(device.Address, vector, irqs));
        }
        locality.Vcpus.AddRange(Vcpus(processId));
        locality.Memory.AddRange(Memory(processId));
        return locality;
    }

    private VectorPlace Place(string address, VectorInfo vector, Dictionary<int, uint> irqs)
    {
        var place = new VectorPlace { Address = address, Vector = (uint)vector.Index, Injected = vector.Injected };
        if (vector.Vcpu is { } vcpu)
            place.Vcpu = (uint)vcpu;
        if (irqs.TryGetValue(vector.Index, out var irq))
        {
            place.Irq = irq;
            // What the interrupt controller was really given, which may be fewer than allowed (Documentation/core-api/irq/irq-affinity.rst).
            var folder = root.Proc(string.Create(CultureInfo.InvariantCulture, $"irq/{irq}"));
            place.HostCpus.AddRange(CpuList.Parse(SysfsFile.Text($"{folder}/effective_affinity_list") ?? SysfsFile.Text($"{folder}/smp_affinity_list")));
        }
        return place;
    }

    // By the vector in the handler's name: vfio-msix[1](0000:01:10.0).
    private Dictionary<int, uint> Interrupts(string address)
    {
        var irqs = new Dictionary<int, uint>();
        foreach (var name in SysfsFile.Names(root.Sys($"bus/pci/devices/{address}/msi_irqs")))
        {
            var action = SysfsFile.Text(root.Sys($"kernel/irq/{name}/actions")) ?? "";
            var (open, close) = (action.IndexOf('[', StringComparison.Ordinal), action.IndexOf(']', StringComparison.Ordinal));
            if (action.StartsWith("vfio-msi", StringComparison.Ordinal) && close > open && int.TryParse(action.AsSpan(open + 1, close - open - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var vector)
                && uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var irq))
                irqs[vector] = irq;
        }
        return irqs;
    }

    private SortedDictionary<uint, VcpuPlace>.ValueCollection Vcpus(int processId)
    {
        var places = new SortedDictionary<uint, VcpuPlace>();
        var folder = root.Proc(string.Create(CultureInfo.InvariantCulture, $"{processId}/task"));
        foreach (var (vcpu, thread) in VcpuThreads.Of(root, processId))
        {
            var index = (uint)vcpu;
            var allowed = (SysfsFile.Text($"{folder}/{thread}/status") ?? "").Split('\n').FirstOrDefault(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal));
            var place = new VcpuPlace { Index = index };
            place.Cpus.AddRange(CpuList.Parse(allowed?[(allowed.IndexOf(':', StringComparison.Ordinal) + 1)..]));
            places[index] = place;
        }
        return places.Values;
    }

    // The guest's memory is by far the largest mapping; the process's own few MiB beside it would only blur the picture.
    private List<NodeMemory> Memory(int processId)
    {
        const ulong least = 16 << 20;
        var nodes = new SortedDictionary<uint, ulong>();
        foreach (var line in (SysfsFile.Text(root.Proc(string.Create(CultureInfo.InvariantCulture, $"{processId}/numa_maps"))) ?? "").Split('\n'))
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var page = words.FirstOrDefault(w => w.StartsWith("kernelpagesize_kB=", StringComparison.Ordinal)) is { } size
                && ulong.TryParse(size.AsSpan(size.IndexOf('=', StringComparison.Ordinal) + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var kibibytes) ? kibibytes << 10 : 4096;
            var here = words.Select(w => w.Split('=')).Where(w => w is [['N', ..], _])
                .Select(w => uint.TryParse(w[0].AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out var node) && ulong.TryParse(w[1], NumberStyles.None, CultureInfo.InvariantCulture, out var pages)
                    ? (Node: node, Bytes: pages * page) : (Node: 0u, Bytes: 0ul)).ToArray();
            if (here.Aggregate(0ul, (sum, one) => sum + one.Bytes) < least)
                continue;
            foreach (var (node, bytes) in here)
                nodes[node] = nodes.GetValueOrDefault(node) + bytes;
        }
        // In steps of 16 MiB, so that a guest that touches its memory does not make news each time.
        return [.. nodes.Where(n => n.Value >= least).Select(n => new NodeMemory { Node = n.Key, Bytes = n.Value / least * least })];
    }
}
