using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Exitless.Benchmarks;

/// <summary>Figures as a page for people and as a line for machines. A bar holds, does not hold, or (null) there is nothing to compare.</summary>
internal sealed class Report(List<PeerResult>? results, DirectFigures direct, bool whole)
{
    private const double MostPssMib = 10, MostStartMs = 40;

    // Exit codes of SVM (AMD64 Architecture Programmer's Manual, volume 2, appendix C): the lab's CPU is an AMD.
    private static readonly Dictionary<string, string> Reasons = new(StringComparer.Ordinal)
    {
        ["0"] = "read CR0",
        ["16"] = "write CR0",
        ["20"] = "write CR4",
        ["19"] = "write CR3",
        ["64"] = "exception",
        ["78"] = "exception #PF",
        ["81"] = "exception #AC",
        ["96"] = "interrupt",
        ["97"] = "NMI",
        ["100"] = "interrupt window",
        ["114"] = "CPUID",
        ["120"] = "HLT",
        ["121"] = "INVLPG",
        ["123"] = "port",
        ["124"] = "MSR",
        ["141"] = "XSETBV",
        ["129"] = "VMMCALL",
        ["55"] = "write DR7",
        ["101"] = "selective write CR0",
        ["115"] = "RSM",
        ["119"] = "PAUSE",
        ["137"] = "WBINVD",
        ["1024"] = "nested page fault",
    };

    // What counts there is that a test passes, and it takes minutes to hours: this program does not run them.
    private static readonly (string Name, double Bar, string Test)[] ByTests =
    [
        ("hotplugLeaksAndLosses", 0, "tests/Booted.Tests/HotplugTests.cs, EXITLESS_NIGHTLY=1 for 50 times"),
        ("fuzzingFailures", 0, "tests/Vmm.Tests (FuzzRuns.cs), EXITLESS_NIGHTLY=1 for a million inputs each"),
        ("vectorExhaustionFailures", 0, "tests/Booted.Tests/VectorExhaustionTests.cs, EXITLESS_NIGHTLY=1"),
        ("sandboxCallsAllowed", 0, "tests/Booted.Tests/SandboxTests.cs"),
        ("debianDiskFailures", 0, "tests/Booted.Tests/DebianDiskTests.cs, EXITLESS_NIGHTLY=1"),
    ];

    private PeerResult? Ours => Of(PeerResult.Ours);

    public string Json()
    {
        var (ours, q35, kvmtool) = (Ours, Of(PeerResult.Q35), Of(PeerResult.Kvmtool));
        var pss = Mebibytes(ours?.Device?["process", "pssKb"]);
        var quarter = Mebibytes(q35?.Device?["process", "pssKb"]) / 4;
        var own = ours?.Plain?.OwnExits;
        var bar = kvmtool?.Plain?.OwnExits;
        var user = PerPacket(ours?.Device, "userExits");
        var collections = ours?.Device?.Steady("collections");
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            Row(json, "exitsToInit", own, bar, own is null || bar is null ? null : own <= bar);
            Row(json, "pssMib", pss, MostPssMib, pss is null ? null : pss <= MostPssMib);
            Row(json, "pssMibAgainstQuarterOfQ35", pss, quarter, pss is null || quarter is null ? null : pss <= quarter);
            Row(json, "startMs", direct.Why is null ? direct.StartMs : null, MostStartMs, direct.Why is null ? direct.StartMs <= MostStartMs : null);
            Row(json, "userExitsPerPacket", user, 0, user is null ? null : user == 0);
            // Less than ten minutes can refute the bar, not show that it holds.
            Row(json, "collectionsInTenMinutes", collections, 0, collections is null ? null : collections > 0 ? false : whole ? true : null);
            foreach (var (name, least, test) in ByTests)
                Row(json, name, null, least, null, test);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    public string Markdown()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # The VMM beside its peers

            Written by `dotnet run -c Release --project tests/Benchmarks -- vmm`. One run, one emulated host (docs/lab.md), the same Debian kernel, initrd, command line and VF for all:
            1 vCPU, 256 MiB. Counts are read in the host at the moment at which init prints its marker. The host is emulated: its clock ticks often in a guest's boot, so exits are
            also given without those for the host's interrupts and for halting. A peer that is not installed has no figures and decides nothing.

            ## From power-on to init, no device

            | VMM | exits | for host interrupts | halts | **the rest** | to user space | nested page faults |
            |---|---|---|---|---|---|---|

            """);
        foreach (var r in results ?? [])
            Line(text, r, r.Plain, m => [m["marker", "exits"], m["marker", "irq_exits"] ?? 0, m["marker", "halt_exits"] ?? 0, m.OwnExits, m["marker", "userExits"], m["marker", "pf_fixed"]]);
        text.Append("\nBy reason:\n\n");
        foreach (var r in results ?? [])
        {
            if (r.Plain is { Failure: null } plain)
                text.Append(CultureInfo.InvariantCulture, $"- {r.Name}: {string.Join(", ", plain.Section("reasons").OrderByDescending(p => p.Value).Select(p => $"{Reasons.GetValueOrDefault(p.Key, "code " + p.Key)} {p.Value:#,0}"))}\n");
        }
        text.Append("\n## With a VF, pinging 20 times a second\n\n| VMM | PSS without guest RAM, KiB | RSS without it, KiB | descriptors | threads | device interrupts in the steady time | exits to user space for each | exits for each |\n|---|---|---|---|---|---|---|---|\n");
        foreach (var r in results ?? [])
        {
            Line(text, r, r.Device, m => [m["process", "pssKb"], m["process", "rssKb"], m["process", "descriptors"], m["process", "threads"], m.Steady("interrupts"), PerPacket(m, "userExits"), PerPacket(m, "exits")]);
        }
        text.Append(CultureInfo.InvariantCulture, $"""

            A device interrupt stands for a packet: at this rate each packet received raises one; igbvf raises one more every two seconds by itself. Exits in this host include those of its own clock.

            Garbage collections of our VM process, in {(whole ? "600" : "60 (the whole takes --long)")} steady seconds with a reader of statistics each second: {Text(Ours?.Device?.Steady("collections"))}; its threads allocated {Text(Ours?.Device?.Steady("allocatedBytes"))} bytes in them, mostly for the answers.

            ## On the machine's own /dev/kvm, with guests of a few instructions

            Each process is started as the agent starts it: in namespaces of its own, and the VMM enters its whole sandbox (docs/vmm-sandbox.md) before the guest's first instruction.


            """);
        text.Append(Direct());
        text.Append(CultureInfo.InvariantCulture, $"\n## Bars\n\n    {Json()}\n");
        return text.ToString();
    }

    /// <summary>What this machine gave, as a table.</summary>
    public string Direct() => direct.Why is { } why
        ? $"Not measured: {why}\n"
        : string.Create(CultureInfo.InvariantCulture, $"""
        | | |
        |---|---|
        | process start to the guest's first byte at a client | {direct.StartMs:0.0} ms |
        | the same program, started and ended without a VM (`--version`) | {direct.ProgramMs:0.0} ms (ratio {direct.StartMs / direct.ProgramMs:0.0}) |
        | /bin/true, started and ended the same way | {direct.TrueMs:0.0} ms (ratio {direct.StartMs / direct.TrueMs:0.0}) |
        | a port write that the VMM answers | {direct.PioNs:#,0} ns |
        | a memory read that the VMM answers | {direct.MmioNs:#,0} ns (ratio {direct.MmioNs / direct.PioNs:0.00}) |

        """);

    private static void Line(StringBuilder text, PeerResult result, Measurement? m, Func<Measurement, IReadOnlyList<double?>> figures)
    {
        var why = result.Missing ?? m?.Failure;
        text.Append(CultureInfo.InvariantCulture, $"| {result.Name} | ");
        text.Append(why is not null || m is null ? $"not measured: {why} |" : string.Join(" | ", figures(m).Select(f => f is null ? "?" : f.Value.ToString(f.Value == Math.Floor(f.Value) ? "#,0" : "#,0.00", CultureInfo.InvariantCulture))));
        text.Append(" |\n");
    }

    private static string Text(long? number) => number?.ToString("#,0", CultureInfo.InvariantCulture) ?? "not known";

    private static double? PerPacket(Measurement? m, string key) => m?.Steady("interrupts") is { } packets and > 0 ? m.Steady(key) / (double)packets : null;

    private static double? Mebibytes(long? kibibytes) => kibibytes / 1024.0;

    private PeerResult? Of(string name) => results?.FirstOrDefault(r => r.Name == name);

    private static void Row(Utf8JsonWriter json, string name, double? figure, double? bar, bool? holds, string? test = null)
    {
        json.WriteStartObject(name);
        Number(json, "figure", figure);
        Number(json, "bar", bar);
        if (holds is { } value)
            json.WriteBoolean("holds", value);
        else
            json.WriteNull("holds");
        if (test is not null)
            json.WriteString("test", test);
        json.WriteEndObject();
    }

    private static void Number(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number)
            json.WriteNumber(name, Math.Round(number, 3));
        else
            json.WriteNull(name);
    }
}
