using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Exitless.ControlPlane.Metrics;

/// <summary>
/// The newest row of each VM in Prometheus' text exposition format, version 0.0.4: one family after the other, base units, <c>_total</c> on counters.
/// KVM's many statistics are not repeated here, only what alerts and graphs of a fleet are made of.
/// </summary>
internal static partial class PrometheusText
{
    /// <summary>The content type that scrapers ask for.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private const double NanosecondsASecond = 1e9;

    // src/Agent/GuestCounts/GuestWord.cs
    private const long FreshMilliseconds = 3000;

    // src/Agent/Grading/VectorGrade.cs
    private static readonly Dictionary<long, string> Grades = new() { [0] = "idle", [1] = "injected", [2] = "woken", [3] = "assisted", [4] = "posted", [5] = "direct" };

    private static readonly Family[] Families =
    [
        new("exitless_vm_exits_total", "counter", "VM exits, summed over the VM's vCPUs.", vm => [new("", vm.Sum(key => VcpuExits().IsMatch(key)))]),
        new("exitless_vm_device_interrupts_total", "counter", "Interrupts of the VM's assigned devices as the host counts them, by MSI-X vector.",
            vm => vm.Values.Select(pair => (Match: Vector().Match(pair.Key), pair.Value)).Where(one => one.Match.Success).Select(one => new Sample(VectorLabels(one.Match), one.Value))),
        new("exitless_vm_guest_device_interrupts_total", "counter", "Interrupts of the VM's assigned devices as the guest says that it counts them, by MSI-X vector; while its reports are fresh.",
            vm => vm.Values.GetValueOrDefault("guest.age_ms", -1) is < 0 or >= FreshMilliseconds ? []
                : vm.Values.Select(pair => (Match: GuestVector().Match(pair.Key), pair.Value)).Where(one => one.Match.Success).Select(one => new Sample(VectorLabels(one.Match), one.Value))),
        new("exitless_vm_interrupt_grade", "gauge", "1 for the way in which a vector's interrupts reached the guest in the last second: idle, injected, woken, assisted, posted, direct, unknown.",
            vm => vm.Values.Select(pair => (Match: Grade().Match(pair.Key), pair.Value)).Where(one => one.Match.Success)
                .Select(one => new Sample($"{VectorLabels(one.Match)},grade=\"{Grades.GetValueOrDefault((long)one.Value, "unknown")}\"", 1))),
        new("exitless_vm_exits_per_interrupt", "gauge", "Exits of all causes for each device interrupt of the last ten seconds.", vm => Ratio(vm, "grade.exits_per_1000_interrupts")),
        new("exitless_vm_marginal_exits_per_interrupt", "gauge", "Exits under load less exits at rest, for each device interrupt of the last ten seconds.", vm => Ratio(vm, "grade.marginal_exits_per_1000_interrupts")),
        new("exitless_vm_cpu_seconds_total", "counter", "CPU time of the VM's process, in guest mode and out of it.", vm =>
            from mode in (string[])["guest", "host"] where vm.Values.ContainsKey($"process.cpu_{mode}_ns") select new Sample($"mode=\"{mode}\"", vm.Values[$"process.cpu_{mode}_ns"] / NanosecondsASecond)),
        new("exitless_vm_resident_bytes", "gauge", "Resident memory of the VM's process, guest memory included.", vm => vm.Values.TryGetValue("process.rss_bytes", out var bytes) ? [new("", bytes)] : []),
    ];

    /// <summary>Writes the page.</summary>
    /// <param name="hosts">Every host's name, and whether its agent is linked.</param>
    /// <param name="vms">The VMs that have a fresh row.</param>
    public static string Write(IEnumerable<(string Name, bool Connected)> hosts, IReadOnlyList<NewestRow> vms)
    {
        var text = new StringBuilder();
        Begin(text, "exitless_host_connected", "gauge", "1 while the host's agent is linked to the control plane.");
        foreach (var (name, connected) in hosts)
            text.Append(CultureInfo.InvariantCulture, $"exitless_host_connected{{host=\"{Escape(name)}\"}} {(connected ? 1 : 0)}\n");
        foreach (var family in Families)
        {
            Begin(text, family.Name, family.Kind, family.Help);
            foreach (var vm in vms)
            {
                foreach (var (labels, value) in family.Samples(vm))
                    text.Append(CultureInfo.InvariantCulture, $"{family.Name}{{host=\"{Escape(vm.HostName)}\",vm=\"{Escape(vm.VmName)}\",vm_id=\"{vm.VmId:D}\"{(labels.Length == 0 ? "" : ",")}{labels}}} {value:R}\n");
            }
        }
        return text.ToString();
    }

    private static void Begin(StringBuilder text, string name, string kind, string help) => text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {kind}\n");

    // -1 is what the agent says where there is nothing to divide by.
    private static IEnumerable<Sample> Ratio(NewestRow vm, string key) => vm.Values.TryGetValue(key, out var value) && value >= 0 ? [new("", value / 1000.0)] : [];

    private static string VectorLabels(Match match) => $"device=\"{match.Groups["address"].Value}\",vector=\"{match.Groups["vector"].Value}\"";

    public static string Escape(string value) => value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    [GeneratedRegex(@"^kvm\.vcpu\.[0-9]+\.exits$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex VcpuExits();

    [GeneratedRegex(@"^vfio\.(?<address>[0-9a-f:.]+)\.msix\.(?<vector>[0-9]+)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Vector();

    [GeneratedRegex(@"^guest\.(?<address>[0-9a-f:.]+)\.msix\.(?<vector>[0-9]+)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex GuestVector();

    [GeneratedRegex(@"^grade\.(?<address>[0-9a-f:.]+)\.msix\.(?<vector>[0-9]+)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Grade();

    private sealed record Family(string Name, string Kind, string Help, Func<NewestRow, IEnumerable<Sample>> Samples);

    private sealed record Sample(string Labels, double Value);
}

/// <summary>The newest stored row of a VM.</summary>
/// <param name="Values">By series key, in the key's order.</param>
internal sealed record NewestRow(Guid VmId, string VmName, string HostName, SortedDictionary<string, long> Values)
{
    /// <summary>The sum of the series whose keys are wanted.</summary>
    public long Sum(Func<string, bool> wanted) => Values.Where(pair => wanted(pair.Key)).Sum(pair => pair.Value);
}
