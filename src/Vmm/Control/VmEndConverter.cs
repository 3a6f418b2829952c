using System.Text.Json;
using System.Text.Json.Serialization;

namespace Exitless.Vmm.Control;

/// <summary>
/// An end on the wire. Agents of the first version refuse a reason that they do not know, so <c>reason</c> has one of theirs for ever, and <c>cause</c> the
/// one that is meant. A reason that this version does not know is an error with its text.
/// </summary>
internal sealed class VmEndConverter : JsonConverter<VmEnd>
{
    public override VmEnd Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using var json = JsonDocument.ParseValue(ref reader);
        var root = json.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
            throw new JsonException($"An end is an object, not {root.ValueKind}.");
        return new VmEnd(
            Reason(root, "cause") ?? Reason(root, "reason") ?? VmEndReason.Error,
            root.TryGetProperty("text", out var text) ? text.GetString() ?? "" : "",
            root.TryGetProperty("at", out var at) && at.TryGetInt64(out var milliseconds) ? milliseconds : 0);
    }

    public override void Write(Utf8JsonWriter writer, VmEnd value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteString("reason", (value.Reason <= VmEndReason.Error ? value.Reason : VmEndReason.Error).ToString());
        writer.WriteString("cause", value.Reason.ToString());
        writer.WriteString("text", value.Text);
        writer.WriteNumber("at", value.At);
        writer.WriteEndObject();
    }

    private static VmEndReason? Reason(JsonElement root, string member) =>
        root.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.String && Enum.TryParse<VmEndReason>(value.GetString(), out var reason) && Enum.IsDefined(reason)
            ? reason : null;
}
