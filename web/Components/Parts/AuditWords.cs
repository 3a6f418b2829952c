using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Parts;

/// <summary>What an entry of the audit log says that changed.</summary>
internal static class AuditWords
{
    /// <summary>Each member that changed: <c>desired: stopped → running</c>. Of what was made or deleted, the members that said something.</summary>
    public static string Of(AuditDto entry, string between)
    {
        var names = (entry.Before ?? []).Select(m => m.Key).Union((entry.After ?? []).Select(m => m.Key), StringComparer.Ordinal);
        return string.Join(between, names.Select(name => Words(name, entry)).OfType<string>());
    }

    private static string? Words(string name, AuditDto entry)
    {
        var (before, after) = (Text(entry.Before?[name]), Text(entry.After?[name]));
        return entry.Action switch
        {
            AuditAction.Changed when before is null && after is null => $"{name}: changed",
            AuditAction.Changed => $"{name}: {before ?? "nothing"} → {after ?? "nothing"}",
            AuditAction.Created => after is null ? null : $"{name}: {after}",
            _ => before is null ? null : $"{name}: {before}",
        };
    }

    // Nothing, an empty text and an empty list say nothing.
    private static string? Text(JsonNode? value) => value switch
    {
        null or JsonArray { Count: 0 } => null,
        JsonValue v when v.TryGetValue(out string? secret) && string.Equals(secret, "not shown", StringComparison.Ordinal) => null,
        JsonValue v when v.TryGetValue(out string? text) => text.Length == 0 ? null : text,
        _ => value.ToJsonString(),
    };
}
