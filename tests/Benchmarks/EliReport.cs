using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Exitless.Benchmarks;

/// <summary>The ELI benchmark's figures as a page and as a line.</summary>
internal sealed class EliReport(EliResults results, EliChurnResult churn, IReadOnlyList<EliAttackResult> attacks, bool whole)
{
    private const double MostMarginal = 0.02, LeastSaved = 0.95, MostOutside = 0.10, Slack = 0.02;
    private const int LeastInterrupts = 20_000, LeastInterruptsLong = 100_000;

    // SVM's exit codes (AMD64 Architecture Programmer's Manual, volume 2, appendix C) that these guests have.
    private static readonly Dictionary<string, string> Reasons = new(StringComparer.Ordinal)
    {
        ["75"] = "#NP: a host interrupt in direct mode",
        ["96"] = "interrupt",
        ["97"] = "NMI: ELI's watchdog",
        ["100"] = "interrupt window",
        ["114"] = "CPUID",
        ["120"] = "HLT",
        ["123"] = "port",
        ["124"] = "MSR",
        ["1024"] = "nested page fault",
    };

    public string Json()
    {
        var full = results.Full;
        var saved = 1 - (full.ExitsPerSecond / results.Injected.ExitsPerSecond);
        var wanted = whole ? LeastInterruptsLong : LeastInterrupts;
        var seen = full.Pairs.Sum(p => p.Load.SeenByHost) / (double)full.Interrupts;
        var outside = full.Pairs.Sum(p => p.Load.OutsideDirect * p.Load.Seconds) / full.Pairs.Sum(p => p.Load.Seconds);
        var lost = results.Modes.SelectMany(m => m.Pairs.Select(p => p.Load).Append(m.Answered)).Sum(w => w.Lost);
        var between = results.Modes[1].ExitsPerSecond;
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            Row(json, "marginalExitsPerInterrupt", full.MedianMarginal, MostMarginal, full.MedianMarginal <= MostMarginal && full.Interrupts >= wanted);
            Row(json, "deviceInterrupts", full.Interrupts, wanted, full.Interrupts >= wanted);
            Row(json, "exitsSaved", saved, LeastSaved, saved >= LeastSaved);
            Row(json, "seenByHost", seen, outside + Slack, seen <= outside + Slack);
            Row(json, "outsideDirectMode", outside, MostOutside, outside < MostOutside);
            Row(json, "packetsLost", lost, 0, lost == 0);
            Row(json, "deliveryOnlyExitsPerSecond", between, results.Injected.ExitsPerSecond, between < results.Injected.ExitsPerSecond && between > full.ExitsPerSecond);
            Row(json, "hostWarnings", results.Warnings, 0, results.Warnings == 0);
            Row(json, "churnLost", churn.Lost, 0, churn.Holds);
            Row(json, "attacksThatHold", attacks.Count(a => a.Holds), Attack.Names.Length, attacks.Count == 0 ? null : attacks.All(a => a.Holds));
            json.WriteBoolean("long", whole);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    public string Markdown()
    {
        var text = new StringBuilder();
        text.Append("""
            # ELI, counted

            Written by `dotnet run -c Release --project tests/Benchmarks -- eli`. One emulated host ([lab.md](../lab.md)), an unmodified Debian kernel with one vCPU on an isolated CPU and an 82576 VF, the load from the
            host's other CPU. Ticks are tamed: the host runs with `nohz_full=1 isolcpus=managed_irq,domain,1 rcu_nocbs=1`, the guest's HLT does not exit, and its memory statistics and proactive compaction are off. Everything is counted, nothing is timed:
            emulated time is no measure, and rates only say how often something was asked for. Device interrupts are the guest's own count.

            ![Exits for each device interrupt, by the rate of packets](eli.svg)

            ## Streaming: the guest takes each packet and answers none

            | | packets/s asked for | exits/s | device interrupts/s | seen by the host/s | time in guest | exits per device interrupt |
            |---|---|---|---|---|---|---|

            """);
        foreach (var mode in results.Modes)
        {
            foreach (var (rate, w) in mode.Rates)
                text.Append(CultureInfo.InvariantCulture, $"| {mode.Name} | {rate} | {w.Exits / w.Seconds:0.0} | {w.Interrupts / w.Seconds:0.0} | {w.SeenByHost / w.Seconds:0.0} | {w.InGuest:P0} | {Ratio(w.Exits, w.Interrupts)} |\n");
        }
        text.Append(CultureInfo.InvariantCulture, $"| the same driver on the bare host | {results.Modes[0].Rates[^1].Rate} | 0 | {results.Bare["interrupts"]:#,0} in all of {results.Bare["sent"]:#,0} packets | all | – | 0 |\n");
        text.Append("\n## Request and response: the guest answers each packet, 200 a second\n\n| | exits/s | device interrupts/s | seen by the host/s | exits per device interrupt | packets lost |\n|---|---|---|---|---|---|\n");
        foreach (var mode in results.Modes)
            text.Append(CultureInfo.InvariantCulture, $"| {mode.Name} | {mode.Answered.Exits / mode.Answered.Seconds:0.0} | {mode.Answered.Interrupts / mode.Answered.Seconds:0.0} | {mode.Answered.SeenByHost / mode.Answered.Seconds:0.0} | {Ratio(mode.Answered.Exits, mode.Answered.Interrupts)} | {mode.Answered.Lost} |\n");
        text.Append("\n## At rest and under load, in turn\n\n| | pair | at rest, exits/s | under load, exits/s | device interrupts | marginal exits per device interrupt | share outside direct mode | share seen by the host |\n|---|---|---|---|---|---|---|---|\n");
        foreach (var mode in results.Modes)
        {
            foreach (var (pair, n) in mode.Pairs.Select((p, n) => (p, n + 1)))
                text.Append(CultureInfo.InvariantCulture, $"| {mode.Name} | {n} | {pair.Rest.Exits / pair.Rest.Seconds:0.0} | {pair.Load.Exits / pair.Load.Seconds:0.0} | {pair.Load.Interrupts:#,0} | {pair.Marginal:0.000} | {(mode.Direct == "none" ? "–" : pair.Load.OutsideDirect.ToString("P1", CultureInfo.InvariantCulture))} | {pair.Load.SeenByHost / (double)pair.Load.Interrupts:P1} |\n");
        }
        text.Append("\nExits under load by reason, first pair of each:\n\n");
        foreach (var mode in results.Modes)
            text.Append(CultureInfo.InvariantCulture, $"- {mode.Name}: {string.Join(", ", mode.Pairs[0].Load.Reasons.OrderByDescending(p => p.Value).Select(p => $"{Reasons.GetValueOrDefault(p.Key, "code " + p.Key)} {p.Value:#,0}"))}\n");
        text.Append(CultureInfo.InvariantCulture, $"""

            ## Two vCPUs and two VFs, with all that may change changing

            {churn.Minutes} minutes, twenty requests a second to each VF, of two PFs. The two vCPU threads changed CPUs {churn.Moves:#,0} times, also to the watchdog's, where there is no direct mode; the guest moved its vectors from one vCPU to the other every second, and {churn.Rounds:#,0} times masked and unmasked every
            MSI-X entry and loaded its IDT on each vCPU. {churn.DirectEntries:#,0} entries in direct mode, {churn.Shadows:#,0} shadows.

            | requests sent | answered | received by the VFs | taken by the guest | slowest answer | device interrupts | seen by the host | warnings of the host |
            |---|---|---|---|---|---|---|---|
            | {churn.Sent:#,0} | {churn.Answered:#,0} | {churn.Received:#,0} | {churn.Handled:#,0} | {churn.SlowestMs:#,0} ms | {churn.Interrupts:#,0} | {churn.SeenByHost:#,0} | {churn.Warnings} |

            An interrupt that is lost leaves packets in the VF until the next one, or until the driver looks after its rings, every 2 s.

            ## Attacks

            A guest that does its worst for {Attack.Seconds} s on CPU 1 ([eli.md](../eli.md), "What attacks have shown"), beside a control in which it spins. Ticks of the host's CPU 1 for each of CPU 0's, which nobody attacks; the host has no tickless mode here. A control whose own two CPUs differ by more than 3 % has measured the machine beneath and is taken again, at most three times.

            | attack | ticks without it | ticks with it | slowest cross-call | watchdog | swallowed, sent again | direct mode taken away | the VM | holds |
            |---|---|---|---|---|---|---|---|---|
            {string.Join('\n', attacks.Select(a => string.Create(CultureInfo.InvariantCulture, $"| `{a.Name}` | {a.Control.Share:P1} | {a.During.Share:P1} | {a.During.SlowestMs} ms of {a.During.Calls} | {a.WatchdogExits} | {a.Swallowed} | {a.Fallbacks} | {(a.Alive ? "lives" : "ended itself")} | {(a.Holds ? "yes" : "**no**")} |")))}

            ## Beside the paper

            The paper's figures (Netperf, one of three loads; recalled from its table, not checked against its text) are of silicon at some 49,000 interrupts a second, and not comparable but in their proportions.

            | | injected | direct delivery | delivery and completion |
            |---|---|---|---|
            | the paper, exits per device interrupt | 2.1 | 1.03 | 0.016 |
            | here, all exits per device interrupt, at {results.Modes[0].Rates[^1].Rate} packets/s | {string.Join(" | ", results.Modes.Select(m => Ratio(m.Pairs.Sum(p => p.Load.Exits), m.Interrupts)))} |
            | here, marginal (median) | {string.Join(" | ", results.Modes.Select(m => m.MedianMarginal.ToString("0.000", CultureInfo.InvariantCulture)))} |
            | here, spread of the marginal | {string.Join(" | ", results.Modes.Select(m => $"{m.Pairs.Min(p => p.Marginal).ToString("0.000", CultureInfo.InvariantCulture)} to {m.Pairs.Max(p => p.Marginal).ToString("0.000", CultureInfo.InvariantCulture)}"))} |

            ## Bars

                {Json()}

            """);
        return text.ToString();
    }

    private static string Ratio(long exits, long interrupts) => interrupts == 0 ? "–" : (exits / (double)interrupts).ToString("0.000", CultureInfo.InvariantCulture);

    // What was not measured holds neither way.
    private static void Row(Utf8JsonWriter json, string name, double figure, double bar, bool? holds)
    {
        json.WriteStartObject(name);
        json.WriteNumber("figure", Math.Round(figure, 4));
        json.WriteNumber("bar", Math.Round(bar, 4));
        if (holds is { } known)
            json.WriteBoolean("holds", known);
        else
            json.WriteNull("holds");
        json.WriteEndObject();
    }
}
