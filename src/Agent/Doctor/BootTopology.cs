using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Exitless.Agent.Storage;

namespace Exitless.Agent.Doctor;

/// <summary>A function in a boot's topology.</summary>
/// <param name="Id">vendor:device.</param>
/// <param name="Unit">The IOMMU unit that translates for it.</param>
/// <param name="Siblings">The others of its IOMMU group. Groups' numbers are not kept: they shift when a card is added.</param>
internal sealed record TopologyFunction(string Address, string Id, string? Driver, string? Unit, IReadOnlyList<string> Siblings);

/// <summary>Units, groups and devices of one boot. VFs are left out: they come and go by will.</summary>
internal sealed record BootTopology(string BootId, IReadOnlyList<string> Units, IReadOnlyList<TopologyFunction> Functions)
{
    public static BootTopology Read(HostFacts host)
    {
        var functions = host.Functions.Where(f => f.Pf is null).ToList();
        return new BootTopology(
            host.Files.Text("/proc/sys/kernel/random/boot_id") ?? "",
            [.. host.Units.Select(u => u.Name)],
            [.. functions.Select(f => new TopologyFunction(
                f.Address, f.Id, f.Driver, host.Units.FirstOrDefault(u => u.Devices.Contains(f.Address, StringComparer.Ordinal))?.Name,
                f.Group is null ? [] : [.. functions.Where(s => s.Group == f.Group && s != f).Select(s => s.Address)]))]);
    }
}

/// <summary>The topologies of this boot and the last one, as kept in the state folder.</summary>
internal sealed record TopologyMemory(BootTopology? Current, BootTopology? Previous)
{
    public const string FileName = "topology.json";

    /// <summary>Reads the record; a missing or damaged one is none.</summary>
    public static TopologyMemory Load(HostFiles files, string stateFolder)
    {
        try
        {
            return files.Text($"{stateFolder.TrimEnd('/')}/{FileName}") is { Length: > 0 } text
                ? JsonSerializer.Deserialize(text, TopologyJson.Default.TopologyMemory) ?? new TopologyMemory(null, null)
                : new TopologyMemory(null, null);
        }
        catch (JsonException)
        {
            return new TopologyMemory(null, null);   // written anew
        }
    }

    /// <summary>The newest topology of a boot before this one.</summary>
    public BootTopology? Before(string bootId) => Current?.BootId == bootId ? Previous : Current;

    public TopologyMemory With(BootTopology today) => new(today, Before(today.BootId));

    public bool IsSame(TopologyMemory? other) => other is not null && Json(this) == Json(other);

    public void Save(string stateFolder) => AtomicFile.Write(Path.Combine(stateFolder, FileName), Encoding.UTF8.GetBytes(Json(this)));

    private static string Json(TopologyMemory memory) => JsonSerializer.Serialize(memory, TopologyJson.Default.TopologyMemory);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(TopologyMemory))]
internal sealed partial class TopologyJson : JsonSerializerContext;
