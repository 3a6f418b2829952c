using System.Globalization;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Vms;

/// <summary>Finds what goes a long way round in a VM's places. Pure.</summary>
internal static class Crossings
{
    /// <summary>Adds the vCPUs' nodes and the crossings to what a host reported.</summary>
    /// <param name="reported">Without both.</param>
    /// <param name="nodes">The host's NUMA nodes.</param>
    public static LocalityDto Find(LocalityDto reported, IReadOnlyList<NumaNodeDto> nodes)
    {
        IReadOnlyList<int> NodesOf(IReadOnlyList<int> cpus) => [.. nodes.Where(n => n.Cpus.Any(cpus.Contains)).Select(n => n.Id).Order()];
        var vcpus = reported.Vcpus.Select(v => v with { Nodes = NodesOf(v.Cpus) }).ToList();
        var found = new List<CrossingDto>();
        foreach (var device in reported.Devices)
        {
            if (device.Node is { } home && reported.Memory.Where(m => m.Node != home).Sum(m => m.Bytes) is > 0 and var away)
                found.Add(new CrossingDto("device-memory", device.Address, null, null, $"{device.Address} is on node {home}, and {away >> 20} MiB of the guest's memory are not: its DMA crosses nodes."));
        }
        foreach (var vcpu in vcpus.Where(v => v.Nodes.Count > 1))
            found.Add(new CrossingDto("vcpu-nodes", null, null, vcpu.Index, $"vCPU {vcpu.Index} may run on nodes {List(vcpu.Nodes)}."));
        foreach (var vector in reported.Vectors)
        {
            var home = reported.Devices.FirstOrDefault(d => d.Address == vector.Device)?.Node;
            var vcpu = vcpus.FirstOrDefault(v => v.Index == vector.Vcpu);
            if (home is { } node && vcpu is { Nodes: [var other] } && other != node)
                found.Add(new CrossingDto("device-vcpu", vector.Device, vector.Vector, vcpu.Index, $"{vector.Device} is on node {node}; vCPU {vcpu.Index}, which takes its vector {vector.Vector}, runs on node {other}."));
            if (home is { } near && NodesOf(vector.HostCpus) is { Count: > 0 } taken && !taken.Contains(near))
                found.Add(new CrossingDto("host-cpu", vector.Device, vector.Vector, null, $"Vector {vector.Vector} of {vector.Device} on node {near} goes to host CPU {List(vector.HostCpus)} on node {List(taken)}."));
            if (vcpu is { Cpus: [var own] } && vector.HostCpus is [var host] && host == own)
                found.Add(new CrossingDto("own-cpu", vector.Device, vector.Vector, vcpu.Index, $"Vector {vector.Vector} of {vector.Device} goes to host CPU {host}, on which vCPU {vcpu.Index} runs: unless it is posted or direct, each makes it exit."));
        }
        return reported with { Vcpus = vcpus, Crossings = found };
    }

    private static string List(IEnumerable<int> numbers) => string.Join(", ", numbers.Select(n => n.ToString(CultureInfo.InvariantCulture)));
}
