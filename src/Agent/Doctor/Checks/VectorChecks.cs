using System.Globalization;

namespace Exitless.Agent.Doctor.Checks;

/// <summary>
/// Interrupt vectors: each CPU of an x86 host has 256, of which the architecture and the kernel keep some 50; every MSI-X vector of every device takes one. The vector
/// allocator tells its sums in debugfs where the kernel has it (CONFIG_GENERIC_IRQ_DEBUGFS, kernel/irq/matrix.c); else the budget is reckoned as 200 a CPU.
/// </summary>
internal static class VectorChecks
{
    private const string Allocator = "/sys/kernel/debug/irq/domains/VECTOR";
    private const int UsableOfACpu = 200;
    private const double Tight = 0.8;

    public static void Run(HostFacts host, Findings findings)
    {
        var text = host.Files.Text(Allocator);
        var (allocated, available) = (Sum(text, "Total allocated:"), Sum(text, "Global available:"));
        var known = allocated is not null && available is not null;
        var used = allocated ?? host.Interrupts.Requested;
        var budget = known ? used + available!.Value : UsableOfACpu * host.OnlineCpus.Count;
        if (budget == 0)
            return;
        var evidence = known ? Findings.Saw(Allocator, $"Total allocated: {used}, Global available: {available}")
            : Findings.Saw(Interrupts.Path, string.Create(CultureInfo.InvariantCulture, $"{used} interrupts; {host.OnlineCpus.Count} CPUs of {UsableOfACpu} vectors"));
        var title = string.Create(CultureInfo.InvariantCulture, $"{used:#,0} of {(known ? "" : "about ")}{budget:#,0} interrupt vectors are in use");
        var remedy = Remedy.Now("ethtool -L INTERFACE combined 4   # fewer queues on the host's own interfaces, first of those with the most lines in /proc/interrupts");
        if (used >= budget)
            findings.Blocker("vector-budget", title + ": no further device can get any", remedy, evidence);
        else if (used >= budget * Tight)
            findings.Warning("vector-budget", title + ": a VM's device may get fewer than it wants", remedy, evidence);
        else
            findings.Ok("vector-budget", title, evidence);
    }

    private static int? Sum(string? text, string label) =>
        text?.Split('\n').FirstOrDefault(l => l.StartsWith(label, StringComparison.Ordinal)) is { } line
        && int.TryParse(line.AsSpan(label.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;
}
