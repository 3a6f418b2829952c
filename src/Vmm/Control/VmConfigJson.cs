using System.Text.Json;
using System.Text.Json.Nodes;

namespace Exitless.Vmm.Control;

/// <summary><see cref="VmConfig"/> as people write it in a file: the same members in camel case.</summary>
public static class VmConfigJson
{
    /// <summary>The names that <see cref="Read"/> knows.</summary>
    public static IReadOnlyList<string> Members { get; } = [.. ControlJson.Default.VmConfig.Properties.Select(p => p.Name)];

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="JsonException">A member is missing or of the wrong kind.</exception>
    public static VmConfig Read(JsonObject json) => json.Deserialize(ControlJson.Default.VmConfig) ?? throw new JsonException("It is null.");
}
