using System.Globalization;
using Exitless.Lab;

namespace Exitless.Benchmarks;

/// <summary>
/// Two vCPUs with a VF each under load, while the vCPU threads change CPUs, the guest moves its interrupts between its vCPUs, loads its IDT and masks its MSI-X entries (<c>churn</c> in tests/Eli/attack): what the VFs,
/// the guest and the sender counted has to agree afterwards.
/// </summary>
internal sealed class EliChurn(LabHost host)
{
    private const int Minutes = 3, MinutesLong = 30;

    // Twenty pings a second and VF.
    private const int EachMinute = 1200;

    /// <summary>Boots a host of its own: a CPU that watches and sends, and one for each vCPU.</summary>
    public static async Task<EliChurnResult> RunAsync(EliLab lab, bool whole)
    {
        await using var host = await lab.StartAsync(options => options with { Name = "churn", Nics = 2, Cpus = 3, KernelArguments = "isolcpus=managed_irq,domain,1-2" });
        return await new EliChurn(host).MeasureAsync(whole ? MinutesLong : Minutes);
    }

    private async Task<EliChurnResult> MeasureAsync(int minutes)
    {
        await RunAsync(EliLab.Start("full", "", await EliLab.VfsAsync(host, EliScript.SetUpPair)) + $"type_in_guest '{EliScript.SecondLink}' >/dev/null\n");
        var before = EliWindow.Parse(await RunAsync("guest_pair before.; host before.\n"));
        await RunAsync(string.Create(CultureInfo.InvariantCulture, $"start_churn {minutes * 60}\n"));
        var parts = new List<EliWindow>();
        for (var minute = 1; minute <= minutes; minute++)
        {
            parts.Add(EliWindow.Parse(await RunAsync(string.Create(CultureInfo.InvariantCulture, $"churn_minute {EachMinute} 60\n"))));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  minute {minute}: {parts[^1]["sent"]} sent, {parts[^1]["answered"]} answered, the slowest after {parts[^1]["slowestMs"]} ms, {parts[^1]["moves"]} moves of a vCPU"));
        }
        var after = EliWindow.Parse(await RunAsync("end_churn; guest_pair after.; host after.\n"));
        var warnings = await RunAsync(EliLab.Warnings("dmesg"));
        await RunAsync("stop_vm\n");
        long Rise(string counter) => after["after." + counter] - before["before." + counter];
        return new EliChurnResult(
            minutes,
            parts.Sum(p => p["sent"]),
            parts.Sum(p => p["answered"]),
            parts.Max(p => p["slowestMs"]),
            Rise("received.eth0") + Rise("received.eth1"),
            Rise("handled.eth0") + Rise("handled.eth1"),
            Rise("guestInterrupts"),
            Rise("hostInterrupts"),
            parts.Sum(p => p["moves"]),
            after["rounds"],
            Rise("eli_direct_entries"),
            Rise("eli_shadows"),
            long.Parse(warnings.Trim(), CultureInfo.InvariantCulture));
    }

    private Task<string> RunAsync(string script) => EliLab.RunAsync(host, EliScript.Churn + script, TimeSpan.FromMinutes(9));
}

/// <summary>What was counted, of both VFs together.</summary>
/// <param name="Minutes">How long.</param>
/// <param name="Sent">Packets that the host sent.</param>
/// <param name="Answered">Those that the guest answered.</param>
/// <param name="SlowestMs">The longest time from a packet to its answer, milliseconds: a lost interrupt would show here, as the driver looks after its rings every 2 s.</param>
/// <param name="Received">Packets that the VFs counted in their own registers.</param>
/// <param name="Handled">Packets that the guest's driver took from them.</param>
/// <param name="Interrupts">Device interrupts by the guest's count.</param>
/// <param name="SeenByHost">Of those, the ones that a CPU of the host saw.</param>
/// <param name="Moves">How often a vCPU thread was sent to another CPU.</param>
/// <param name="Rounds">How often the guest masked all of its entries and loaded its IDTs.</param>
/// <param name="DirectEntries">Entries in direct mode.</param>
/// <param name="Shadows">Shadow tables made.</param>
/// <param name="Warnings">Lines of the host's log that tell of a warning, a bug or a stall.</param>
internal sealed record EliChurnResult(int Minutes, long Sent, long Answered, long SlowestMs, long Received, long Handled, long Interrupts, long SeenByHost, long Moves, long Rounds, long DirectEntries, long Shadows, long Warnings)
{
    /// <summary>Requests without an answer, and packets that a VF has and the guest has not taken.</summary>
    public long Lost => Sent - Answered + Math.Abs(Received - Handled);

    public bool Holds => Lost == 0 && Warnings == 0 && SlowestMs < 1000 && Sent > 0 && Interrupts > 0 && Moves > 0 && Rounds > 0 && DirectEntries > 0;
}
