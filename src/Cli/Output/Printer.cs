using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;

namespace Exitless.Cli.Output;

/// <summary>How answers are shown.</summary>
internal enum Format
{
    /// <summary>For people.</summary>
    Table,
    /// <summary>As the API gives it.</summary>
    Json,
    /// <summary>The same as YAML.</summary>
    Yaml,
}

/// <summary>Writes answers as tables, JSON or YAML.</summary>
internal sealed class Printer(TextWriter output, Format format)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public bool ForPeople => format == Format.Table;

    public Task ListAsync(Kind kind, JsonArray items) => format == Format.Table ? TableAsync([.. kind.Columns.Select(c => c.Heading)], items.Select(i => kind.Columns.Select(c => Text(Kind.Member(i, c.Member))).ToList())) : RawAsync(items);

    /// <summary>One thing; for people a line a member.</summary>
    public Task OneAsync(JsonNode one) => format == Format.Table && one is JsonObject members
        ? TableAsync([], members.Where(m => m.Value is not (null or JsonArray { Count: 0 })).Select(m => new List<string> { m.Key, Text(m.Value) }))
        : RawAsync(one);

    /// <summary>A sentence for people; others read what is printed.</summary>
    public Task SayAsync(string sentence) => format == Format.Table ? output.WriteLineAsync(sentence) : Task.CompletedTask;

    public Task RawAsync(JsonNode node) => output.WriteLineAsync(format == Format.Yaml ? Yaml.Write(node).TrimEnd() : node.ToJsonString(Indented));

    private async Task TableAsync(IReadOnlyList<string> headings, IEnumerable<List<string>> rows)
    {
        var lines = headings.Count > 0 ? rows.Prepend([.. headings]).ToList() : rows.ToList();
        if (lines.Count == 0)
            return;
        var widths = Enumerable.Range(0, lines[0].Count).Select(c => lines.Max(l => l[c].Length)).ToList();
        foreach (var line in lines)
            await output.WriteLineAsync(string.Join("  ", line.Select((cell, c) => cell.PadRight(widths[c]))).TrimEnd());
    }

    private static string Text(JsonNode? node) => node switch
    {
        null => "-",
        JsonValue value when value.GetValueKind() == JsonValueKind.String => Clean((string)value!),
        _ => node.ToJsonString(new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }),
    };

    // What hosts and guests say must not steer a terminal.
    private static string Clean(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '\ufffd' : c));
}
