using System.Globalization;
using Exitless.Lab;

namespace Exitless.Benchmarks;

/// <summary>Guests that attack their host through direct interrupts, each beside a control by the same guest: what the host keeps.</summary>
internal sealed class EliAttacks(LabHost host, string vf)
{
    private const double LeastShare = 0.95;
    private const int SlowestCallMs = 2000;
    private const int MostControls = 4;
    private const double ControlSlack = 0.03;

    public static async Task<IReadOnlyList<EliAttackResult>> RunAsync(EliLab lab)
    {
        await using var host = await lab.StartAsync(options => options with { Name = "attacks", KernelArguments = Attack.KernelArguments });
        var attacks = new EliAttacks(host, (await EliLab.VfsAsync(host, EliScript.SetUp))[0]);
        var results = new List<EliAttackResult>();
        foreach (var name in Attack.Names)
        {
            results.Add(await attacks.MeasureAsync(name));
            Console.WriteLine($"  {results[^1].Name}: {results[^1].During}; without it {results[^1].Control}");
        }
        return results;
    }

    private async Task<EliAttackResult> MeasureAsync(string name)
    {
        await RunAsync(EliLab.Start("full", " exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2", vf));
        var control = await ControlAsync();
        var before = EliWindow.Parse(await RunAsync("host before.\n"));
        var during = HostTicks.Parse(await RunAsync(Attacked(name)));
        // The attacker may have ended itself, and its counters with it.
        var alive = (await RunAsync("[ ! -e /proc/$(cat $F/vm) ] || { type_in_guest 'echo still=$((40+2))' | grep -o '^still=42'; }; true\n")).Trim() == "still=42";
        var after = EliWindow.Parse(alive ? await RunAsync("host after.\n") : "");
        var warnings = await RunAsync(EliLab.Warnings("dmesg -c"));
        await RunAsync("stop_vm\n");
        long Rise(string counter) => alive ? after["after." + counter] - before["before." + counter] : 0;
        return new EliAttackResult(
            name,
            control,
            during,
            alive,
            Rise("eli_watchdog_exits"),
            Rise("eli_swallowed"),
            Rise("eli_fallbacks"),
            int.Parse(warnings.Trim(), CultureInfo.InvariantCulture),
            during.Share >= LeastShare * control.Share && during.Calls > 0 && during.SlowestMs < SlowestCallMs && (alive || Attack.Fatal.Contains(name)));
    }

    /// <summary>
    /// A guest that spins takes no tick from either CPU. A control in which the CPUs differ has measured this machine, whose processors others had, and nothing can be
    /// compared with it: it is taken again.
    /// </summary>
    private async Task<HostTicks> ControlAsync()
    {
        var control = HostTicks.Parse(await RunAsync(Attacked("spin")));
        for (var more = MostControls - 1; more > 0 && Math.Abs(control.Share - 1) > ControlSlack; more--)
        {
            Console.WriteLine($"  a control to take again: {control}");
            control = HostTicks.Parse(await RunAsync(Attacked("spin")));
        }
        return control;
    }

    // The order goes to the guest without waiting for its answer, which an attack may keep back.
    private static string Attacked(string what) => $$"""
        echo '{{Attack.Order(what)}}' >$F/in
        {{HostTicks.Script}}
        n=0; until tail -n 3 $F/out | grep -aq '^rounds=' || [ ! -e /proc/$(cat $F/vm) ] || [ $n -ge 300 ]; do sleep 0.2; n=$((n + 1)); done
        # A pipe that nobody reads any more would not open.
        [ ! -e /proc/$(cat $F/vm) ] || echo >$F/in

        """;

    private Task<string> RunAsync(string script) => EliLab.RunAsync(host, script, TimeSpan.FromMinutes(5));
}

/// <summary>One attack.</summary>
/// <param name="Name">Its name in tests/Eli/attack.</param>
/// <param name="Control">The host without it, while the same guest spins.</param>
/// <param name="During">The host with it.</param>
/// <param name="Alive">The attacker's VM still answers.</param>
/// <param name="WatchdogExits">Runs that the watchdog ended.</param>
/// <param name="Swallowed">Host timers that were swallowed, and sent again.</param>
/// <param name="Fallbacks">Times that direct mode was taken away.</param>
/// <param name="Warnings">Lines of the host's log that tell of a warning, a bug or a stall.</param>
/// <param name="Keeps">The host kept its ticks and its calls, and the VM lived where it should.</param>
internal sealed record EliAttackResult(string Name, HostTicks Control, HostTicks During, bool Alive, long WatchdogExits, long Swallowed, long Fallbacks, int Warnings, bool Keeps)
{
    public bool Holds => Keeps && Warnings == 0;
}
