using System.Globalization;
using Exitless.Lab;

namespace Exitless.Benchmarks;

/// <summary>
/// The ELI paper's experiment (Gordon et al., ASPLOS 2012, section 5), counted and not timed: the same guest with the same VF under the same load, with injected interrupts, with direct delivery alone, and with
/// delivery and completion; and the same driver on the bare host.
/// </summary>
internal sealed class EliBenchmark(LabHost host, string vf, string otherVf, bool whole)
{
    private const int TopRate = 1600, AtOnce = 8;
    private static readonly int[] Rates = [50, 200, TopRate];
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(9);

    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        var agent = Environment.GetEnvironmentVariable("EXITLESS_AGENT") ?? Checkout.At("artifacts/agent/exitless-agent");
        var output = Checkout.At("docs/benchmarks/eli.md");
        var (whole, attacks) = (false, true);
        for (var i = 0; i < rest.Length; i++)
        {
            switch (rest[i])
            {
                case "--agent" when i + 1 < rest.Length: agent = rest[++i]; break;
                case "--output" when i + 1 < rest.Length: output = rest[++i]; break;
                case "--long": whole = true; break;
                case "--no-attacks": attacks = false; break;
                default:
                    Console.Error.WriteLine($"'{rest[i]}' is not known, or lacks its value.");
                    return 2;
            }
        }
        if (!File.Exists(agent))
        {
            Console.Error.WriteLine($"There is no file {agent}. Publish the agent with scripts/build.");
            return 2;
        }
        var folder = Directory.CreateTempSubdirectory("exitless-eli-").FullName;
        try
        {
            var lab = await EliLab.PrepareAsync(agent, folder);
            var results = await OnAHostAsync(lab, whole);
            Console.WriteLine("two vCPUs and two VFs, with all that may change changing");
            var churn = await EliChurn.RunAsync(lab, whole);
            if (attacks)
                Console.WriteLine("attacks");
            var report = new EliReport(results, churn, attacks ? await EliAttacks.RunAsync(lab) : [], whole);
            Directory.CreateDirectory(Path.GetDirectoryName(output)!);
            await File.WriteAllTextAsync(output, report.Markdown());
            await File.WriteAllTextAsync(Path.ChangeExtension(output, ".svg"), EliPlot.Draw(results));
            Console.WriteLine($"wrote {output}");
            Console.WriteLine(report.Json());
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<EliResults> OnAHostAsync(EliLab lab, bool whole)
    {
        // The ticks of the vCPU's CPU are tamed: it is the only thing that runs there.
        await using var host = await lab.StartAsync(options => options with { Cpus = 2, KernelArguments = "nohz_full=1 isolcpus=managed_irq,domain,1 rcu_nocbs=1" });
        var vfs = await EliLab.VfsAsync(host, EliScript.SetUp);
        return await new EliBenchmark(host, vfs[0], vfs[1], whole).MeasureAsync();
    }

    private async Task<EliResults> MeasureAsync()
    {
        // 20,000 interrupts over five pairs; streaming, each packet raises one at most.
        var (pairs, packets) = (5, whole ? 32_000 : 6_400);
        var modes = new List<EliMode>();
        foreach (var (name, direct) in ((string, string)[])[("injected: KVM as it is", "none"), ("direct delivery", "deliveryOnly"), ("direct delivery and completion", "full")])
        {
            Console.WriteLine(name);
            await RunAsync(EliLab.Start(direct, "", vf) + EliScript.TameGuest);
            var answered = await WindowAsync($"load {(whole ? 4000 : 800)} 200 {AtOnce}");
            await RunAsync("type_in_guest 'echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all' >/dev/null\n");
            var measured = new List<EliPair>();
            for (var n = 0; n < (direct == "full" ? pairs : 1); n++)
                measured.Add(new EliPair(await WindowAsync("rest 10"), await WindowAsync(string.Create(CultureInfo.InvariantCulture, $"load {packets} {TopRate} {AtOnce}"))));
            var rates = new List<(int, EliWindow)>();
            foreach (var rate in Rates[..^1])
                rates.Add((rate, await WindowAsync(string.Create(CultureInfo.InvariantCulture, $"load {rate * 10} {rate} {(rate > 100 ? AtOnce : 1)}"))));
            rates.Add((TopRate, measured[0].Load));
            modes.Add(new EliMode(name, direct, answered, measured, rates));
            await RunAsync("stop_vm\n");
        }
        var bare = new List<(int, long)>();
        Console.WriteLine("the bare host");
        var output = await RunAsync(string.Create(CultureInfo.InvariantCulture, $"VF={otherVf} PACKETS={packets} RATE={TopRate} ATONCE={AtOnce} ANSWERS=1\n{EliScript.BareHost}"));
        var warnings = await RunAsync(EliLab.Warnings("dmesg"));
        return new EliResults(modes, EliWindow.Parse(output), int.Parse(warnings.Trim(), CultureInfo.InvariantCulture));
    }

    private async Task<EliWindow> WindowAsync(string what)
    {
        var window = EliWindow.Parse(await RunAsync($"window {what}\n"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {what}: {window.Exits} exits, {window.Interrupts} device interrupts, {window.SeenByHost} seen by the host, {window.Seconds:0.0} s, {window.OutsideDirect:P1} outside direct mode, {window.Lost} lost"));
        return window;
    }

    private Task<string> RunAsync(string script) => EliLab.RunAsync(host, script, Limit);
}

/// <summary>One way of the interrupts.</summary>
/// <param name="Name">Its name in the report.</param>
/// <param name="Direct">The VMM's word for it.</param>
/// <param name="Answered">Request and response: the guest answers each packet.</param>
/// <param name="Pairs">Streaming at the top rate, each with the rest before it.</param>
/// <param name="Rates">Streaming at rising rates, packets a second.</param>
internal sealed record EliMode(string Name, string Direct, EliWindow Answered, IReadOnlyList<EliPair> Pairs, IReadOnlyList<(int Rate, EliWindow Window)> Rates)
{
    public long Interrupts => Pairs.Sum(p => p.Load.Interrupts);

    public double MedianMarginal => Pairs.Select(p => p.Marginal).Order().ElementAt(Pairs.Count / 2);

    /// <summary>Exits under load for each second.</summary>
    public double ExitsPerSecond => Pairs.Sum(p => p.Load.Exits) / Pairs.Sum(p => p.Load.Seconds);
}

/// <summary>All of it.</summary>
/// <param name="Modes">Injected, delivery only, full.</param>
/// <param name="Bare">The same driver and load on the host itself.</param>
/// <param name="Warnings">Lines of the host's log that tell of a warning, a bug or a stall.</param>
internal sealed record EliResults(IReadOnlyList<EliMode> Modes, EliWindow Bare, int Warnings)
{
    public EliMode Injected => Modes[0];

    public EliMode Full => Modes[^1];
}
