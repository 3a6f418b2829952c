using System.Text.Json;
using Exitless.Run.Stack;

namespace Exitless.Run;

/// <summary>What <c>./run --check</c> finds out: traffic passed through the VF, nothing was lost, and its interrupts are in the metrics.</summary>
/// <param name="Ok">Whether all of it holds.</param>
/// <param name="SecondsToReady">From the start of <c>./run</c>, building included, to the guest's first answered ping.</param>
/// <param name="Exits">VM exits of the demo VM so far, from the metrics.</param>
/// <param name="Interrupts">Interrupts of its VF so far, all vectors, from the metrics.</param>
/// <param name="PacketsSent">Pings that the guest sent.</param>
/// <param name="PacketsLost">Those that were not answered.</param>
/// <param name="Failed">The step that failed; null: none.</param>
/// <param name="Reason">Why, in words.</param>
internal sealed record Check(bool Ok, double? SecondsToReady, long? Exits, long? Interrupts, long? PacketsSent, long? PacketsLost, string? Failed, string? Reason)
{
    private const int PacketsWanted = 50;
    private static readonly JsonSerializerOptions Format = new(JsonSerializerDefaults.Web);
    private static readonly TimeSpan GuestLimit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan MetricsLimit = TimeSpan.FromSeconds(60);

    public string ToJson() => JsonSerializer.Serialize(this, Format);

    public static Check Failure(string step, string reason) => new(false, null, null, null, null, null, step, reason);

    /// <summary>Watches the demo VM until it has passed its packets, then compares with the metrics.</summary>
    public static async Task<Check> OfAsync(DemoVm vm, DateTimeOffset startedAt, TimeProvider time, CancellationToken cancellation)
    {
        await using var console = await vm.ConsoleAsync(cancellation);
        await console.UntilAsync(line => GuestReport.Parse(line) is { Word: "ping" } ping && ping.Values.GetValueOrDefault("received") > 0, GuestLimit, cancellation);
        var ready = (time.GetUtcNow() - startedAt).TotalSeconds;
        await console.UntilAsync(line => GuestReport.Parse(line) is { Word: "ping" } ping && ping.Values.GetValueOrDefault("received") >= PacketsWanted, GuestLimit, cancellation);

        // The final counts: pinging is stopped so that nothing is on its way, and started again for whoever looks.
        var before = console.Text.Length;
        await console.TypeAsync("stop-ping", cancellation);
        var last = GuestReport.Parse(await console.UntilAsync(
            line => GuestReport.Parse(line) is { Word: "ping" } && line.Contains("state=stopped", StringComparison.Ordinal), GuestLimit, cancellation, before))!;
        await console.TypeAsync("start-ping", cancellation);

        IReadOnlyDictionary<string, long> vectors = new Dictionary<string, long>(StringComparer.Ordinal);
        await Eventually.HoldsAsync("interrupts in the metrics", MetricsLimit, async () =>
        {
            vectors = await vm.NewestAsync("vfio.*", cancellation);
            return vectors.Values.Sum() > 0;
        }, cancellation);
        var exits = await vm.NewestAsync("kvm.vcpu.0.exits", cancellation);
        var lost = last.Values["lost"];
        return new Check(lost == 0, Math.Round(ready, 1), exits.Values.Sum(), vectors.Values.Sum(), last.Values["sent"], lost,
            lost == 0 ? null : "traffic", lost == 0 ? null : $"{lost} of {last.Values["sent"]} packets got no answer");
    }
}
