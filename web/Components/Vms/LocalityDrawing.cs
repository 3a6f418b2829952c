using System.Globalization;
using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Vms;

/// <summary>A box of the picture: a device, a vector, a host CPU, a vCPU.</summary>
/// <param name="Column">0 to 3.</param>
/// <param name="Row">From 0.</param>
/// <param name="Text">What it is.</param>
/// <param name="Below">More of it, smaller.</param>
/// <param name="Node">Its NUMA node, or empty.</param>
internal sealed record LocalityBox(int Column, int Row, string Text, string Below, string Node);

/// <summary>A way between two boxes of neighbouring columns; one that costs is drawn apart.</summary>
internal sealed record LocalityWay(LocalityBox From, LocalityBox To, bool Costs);

/// <summary>The locality map as boxes in four columns and ways between them: where each interrupt goes, from its device to its vCPU.</summary>
internal sealed class LocalityDrawing
{
    private readonly List<LocalityBox> _boxes = [];
    private readonly List<LocalityWay> _ways = [];

    /// <summary>Puts the boxes where they belong.</summary>
    public LocalityDrawing(LocalityDto places, IReadOnlyList<NumaNodeDto> nodes)
    {
        string NodeOf(IReadOnlyList<int> cpus) => string.Join(", ", nodes.Where(n => n.Cpus.Any(cpus.Contains)).Select(n => Number(n.Id)));
        bool Costs(string kind, VectorPlaceDto vector) => places.Crossings.Any(c => c.Kind == kind && c.Device == vector.Device && c.Vector == vector.Vector);
        var devices = places.Devices.Select((d, row) => Add(0, row, d.Address, "device", d.Node is { } node ? Number(node) : "")).ToDictionary(b => b.Text, StringComparer.Ordinal);
        var vcpus = places.Vcpus.Select((v, row) => Add(3, row, $"vCPU {v.Index}", v.Cpus.Count == 1 ? $"on CPU {v.Cpus[0]}" : $"on {v.Cpus.Count} CPUs", string.Join(", ", v.Nodes.Select(Number)))).ToList();
        var hosts = new Dictionary<string, LocalityBox>(StringComparer.Ordinal);
        foreach (var (vector, row) in places.Vectors.Select((v, i) => (v, i)))
        {
            var box = Add(1, row, $"vector {vector.Vector}", vector.Injected ? "injected by the switch" : vector.Irq is { } irq ? $"IRQ {irq}" : "", "");
            if (devices.TryGetValue(vector.Device, out var device))
                _ways.Add(new LocalityWay(device, box, Costs: false));
            var cpus = Ranges(vector.HostCpus);
            if (cpus.Length == 0)
                continue;
            if (!hosts.TryGetValue(cpus, out var host))
                hosts.Add(cpus, host = Add(2, hosts.Count, $"CPU {cpus}", "of the host", NodeOf(vector.HostCpus)));
            _ways.Add(new LocalityWay(box, host, Costs("host-cpu", vector)));
            if (vector.Vcpu is { } vcpu && vcpu < vcpus.Count)
                _ways.Add(new LocalityWay(host, vcpus[vcpu], Costs("own-cpu", vector) || Costs("device-vcpu", vector)));
        }
    }

    /// <summary>The boxes.</summary>
    public IReadOnlyList<LocalityBox> Boxes => _boxes;

    /// <summary>The ways; several interrupts that share one are one, which costs if one of them does.</summary>
    public IEnumerable<LocalityWay> Ways => _ways.GroupBy(w => (w.From, w.To)).Select(g => g.First() with { Costs = g.Any(w => w.Costs) });

    /// <summary>How many rows the longest column has.</summary>
    public int Rows => _boxes.Count == 0 ? 0 : _boxes.Max(b => b.Row) + 1;

    /// <summary>0, 1, 2, 5 as 0-2, 5.</summary>
    public static string Ranges(IReadOnlyList<int> numbers)
    {
        var parts = new List<string>();
        for (var i = 0; i < numbers.Count; i++)
        {
            var first = i;
            while (i + 1 < numbers.Count && numbers[i + 1] == numbers[i] + 1)
                i++;
            parts.Add(first == i ? Number(numbers[i]) : $"{Number(numbers[first])}-{Number(numbers[i])}");
        }
        return string.Join(", ", parts);
    }

    private LocalityBox Add(int column, int row, string text, string below, string node)
    {
        var box = new LocalityBox(column, row, text, below, node);
        _boxes.Add(box);
        return box;
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
