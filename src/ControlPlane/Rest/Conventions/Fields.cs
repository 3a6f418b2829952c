using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Exitless.ControlPlane.Api;
using Microsoft.Extensions.Primitives;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Sparse fields: <c>?fields=id,name,facts.kernel</c> leaves out all others.</summary>
internal static class Fields
{
    /// <summary>The paths of the query, each checked against the type.</summary>
    public static IReadOnlyList<string[]> Read(Type type, StringValues query)
    {
        var paths = query.SelectMany(q => (q ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)).Select(p => p.Split('.')).ToList();
        foreach (var path in paths)
            Check(type, path);
        return paths;
    }

    /// <summary>The parts of a value that the paths name; of a list, those of each item.</summary>
    public static JsonNode? Take(JsonNode? value, IReadOnlyList<string[]> paths) => value switch
    {
        JsonArray list => new JsonArray([.. list.Select(i => Take(i, paths))]),
        JsonObject one => new JsonObject(one.Where(m => paths.Any(p => p[0] == m.Key)).Select(m =>
        {
            var below = paths.Where(p => p[0] == m.Key).ToList();
            var whole = below.Exists(p => p.Length == 1);
            return KeyValuePair.Create(m.Key, whole ? m.Value?.DeepClone() : Take(m.Value, [.. below.Select(p => p[1..])]));
        })),
        null => null,
        _ => value.DeepClone(),
    };

    private static void Check(Type type, string[] path)
    {
        for (var i = 0; i < path.Length; i++)
        {
            var info = JsonFormat.Options.GetTypeInfo(Nullable.GetUnderlyingType(type) ?? type);
            while (info is { Kind: JsonTypeInfoKind.Enumerable, ElementType: { } element })
                info = JsonFormat.Options.GetTypeInfo(element);
            if (info.Properties.FirstOrDefault(p => p.Name == path[i]) is not { } member)
            {
                var known = info.Kind == JsonTypeInfoKind.Object ? string.Join(", ", info.Properties.Select(p => p.Name)) : "none";
                throw ProblemException.ForField(ProblemKind.Invalid, "fields-unknown", "A field does not exist.", "fields", $"There is no field '{string.Join('.', path[..(i + 1)])}'.", $"There are: {known}.");
            }
            type = member.PropertyType;
        }
    }
}
