using System.Globalization;
using System.Text;
using System.Text.Json;
using Exitless.Agent.Grading;

namespace Exitless.Agent.Watching;

/// <summary>A watched second as a person reads it, and as a script does.</summary>
internal static class WatchOutput
{
    /// <summary>A grade in the words of docs/exit-less.md.</summary>
    public static string Word(VectorGrade grade) => grade switch
    {
        VectorGrade.Idle => "idle",
        VectorGrade.Injected => "injected",
        VectorGrade.Woken => "woken",
        VectorGrade.Assisted => "assisted",
        VectorGrade.Posted => "posted",
        VectorGrade.Direct => "direct",
        _ => "unknown",
    };

    /// <summary>Lines for a terminal: one a VM, and one for each of its vectors that interrupted.</summary>
    public static string Text(IReadOnlyList<WatchedSecond> seconds)
    {
        var text = new StringBuilder();
        if (seconds.Count == 0)
            text.AppendLine("No VM runs here.");
        foreach (var second in seconds)
        {
            var interrupts = second.Vectors.Sum(vector => vector.Interrupts);
            text.AppendLine(CultureInfo.InvariantCulture,
                $"{second.Vm.Name} ({second.Vm.ProcessId}): {second.Exits} exits/s, {interrupts} device interrupts/s, {Ratio(second.ExitsPerInterrupt)} exits each, {Ratio(second.MarginalExitsPerInterrupt)} marginal");
            foreach (var vector in second.Vectors.Where(vector => vector.Interrupts > 0))
                text.AppendLine(CultureInfo.InvariantCulture, $"  {vector.Address} msix {vector.Vector,-4} {vector.Interrupts,8}/s  {Word(vector.Grade)}");
            foreach (var reason in InOrder(second.Reasons ?? []))
                text.AppendLine(CultureInfo.InvariantCulture, $"  {reason.Exits,8}/s  {Spoken(reason)}");
            if (second.Vm.Addresses.Count == 0)
                text.AppendLine("  It owns no device through VFIO.");
        }
        return text.ToString();
    }

    /// <summary>One JSON object on one line, for one VM.</summary>
    public static string Json(WatchedSecond second, DateTimeOffset at)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("time", at);
            json.WriteNumber("processId", second.Vm.ProcessId);
            json.WriteString("name", second.Vm.Name);
            json.WriteNumber("exits", second.Exits);
            WriteRatio(json, "exitsPerInterrupt", second.ExitsPerInterrupt);
            WriteRatio(json, "marginalExitsPerInterrupt", second.MarginalExitsPerInterrupt);
            json.WriteStartArray("vectors");
            foreach (var vector in second.Vectors)
            {
                json.WriteStartObject();
                json.WriteString("address", vector.Address);
                json.WriteNumber("vector", vector.Vector);
                json.WriteNumber("interrupts", vector.Interrupts);
                json.WriteString("grade", Word(vector.Grade));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            if (second.Reasons is { } reasons)
            {
                json.WriteStartObject("exitsByReason");
                foreach (var reason in reasons)
                    json.WriteNumber(reason.Name, reason.Exits);
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    // Parts behind what they are a part of.
    private static IEnumerable<WatchedReason> InOrder(IReadOnlyList<WatchedReason> reasons)
    {
        var parts = reasons.Where(r => r.Name.Contains('.', StringComparison.Ordinal)).ToLookup(r => r.Name[..r.Name.IndexOf('.', StringComparison.Ordinal)], StringComparer.Ordinal);
        foreach (var whole in reasons.Where(r => !r.Name.Contains('.', StringComparison.Ordinal)))
        {
            yield return whole;
            var own = whole.Name == ExitReasons.ReasonNames.Msr ? parts.SelectMany(p => p).OrderByDescending(p => p.Exits) : parts[whole.Name];
            foreach (var part in own)
                yield return part;
        }
    }

    // "msr_write.tsc_deadline" is a part of "msr_write", or of AMD's "msr".
    private static string Spoken(WatchedReason reason) => reason.Name.IndexOf('.', StringComparison.Ordinal) is > 0 and var dot
        ? $"  of these {reason.Name[..dot].Replace('_', ' ')} {reason.Name[(dot + 1)..].Replace('_', ' ')}" : reason.Name.Replace('_', ' ');

    private static string Ratio(double? ratio) => ratio is { } known ? known.ToString("0.00", CultureInfo.InvariantCulture) : "?";

    private static void WriteRatio(Utf8JsonWriter json, string name, double? ratio)
    {
        if (ratio is { } known)
            json.WriteNumber(name, known);
        else
            json.WriteNull(name);
    }
}
