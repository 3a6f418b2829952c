using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Operations;
using StepState = Exitless.ControlPlane.Api.StepState;
using VmState = Exitless.ControlPlane.Api.VmState;

namespace Exitless.ControlPlane.Link;

/// <summary>From the words of the wire to our own. What an agent sends is input: strange values become plain ones, never exceptions.</summary>
internal static class LinkMapping
{
    /// <summary>Unix milliseconds that DateTimeOffset can hold; others are clamped.</summary>
    private static readonly long FirstTime = DateTimeOffset.UnixEpoch.ToUnixTimeMilliseconds();
    private static readonly long LastTime = new DateTimeOffset(9999, 1, 1, 0, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();

    private const int MostForeignVms = 1000, MostVectors = 4096;

    public static DateTimeOffset Time(long milliseconds) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(milliseconds, FirstTime, LastTime));

    public static string? Text(string value) => value.Length == 0 ? null : Clean(value);

    /// <summary>PostgreSQL's text holds no NUL.</summary>
    public static string Clean(string value) => value.Contains('\0', StringComparison.Ordinal) ? value.Replace('\0', '\ufffd') : value;

    public static ProblemDto? Problem(Problem? problem) => problem is null || problem.Code.Length + problem.Title.Length == 0
        ? null
        : new ProblemDto(Clean(problem.Code), Clean(problem.Title), Text(problem.Detail), Text(problem.Remedy), Text(problem.Field));

    public static IReadOnlyList<StepDto> Steps(IEnumerable<Step> steps) => [.. steps.Select(s => new StepDto(
        Clean(s.Name),
        s.State switch { Contracts.StepState.Done => StepState.Done, Contracts.StepState.Failed => StepState.Failed, _ => StepState.Running },
        Time(s.StartedAt), s.FinishedAt == 0 ? null : Time(s.FinishedAt), Text(s.Detail)))];

    public static ObservedHost Observed(ObservedState state)
    {
        var vms = new Dictionary<Guid, ObservedVmFacts>();
        foreach (var vm in state.Vms)
        {
            if (Guid.TryParse(vm.VmId, out var id))
            {
                vms[id] = new ObservedVmFacts((long)vm.Generation, State(vm.State), Problem(vm.Problem), Steps(vm.Steps),
                    vm.ProcessId == 0 ? null : (int)vm.ProcessId, vm.StartedAt == 0 ? null : Time(vm.StartedAt), Text(vm.EndReason))
                { Locality = Locality(vm.Locality) };
            }
        }
        var pfs = state.Pfs.ToLookup(p => p.Address, StringComparer.Ordinal)
            .ToDictionary(g => g.Key, g => g.Last(), StringComparer.Ordinal)
            .ToDictionary(p => p.Key, p => new ObservedPfFacts((long)p.Value.Generation, p.Value.Converged, Problem(p.Value.Problem), Steps(p.Value.Steps)), StringComparer.Ordinal);
        return new ObservedHost((long)state.Generation, vms, pfs);
    }

    public static LocalityDto? Locality(Locality? l) => l is null ? null : new LocalityDto(
        [.. l.Vectors.Select(v => new VectorPlaceDto(Clean(v.Address), (int)v.Vector, v.HasIrq ? (int)v.Irq : null, [.. v.HostCpus.Select(c => (int)c)], v.HasVcpu ? (int)v.Vcpu : null, v.Injected))],
        [.. l.Vcpus.Select(v => new VcpuPlaceDto((int)v.Index, [.. v.Cpus.Select(c => (int)c)], []))],
        [.. l.Devices.Select(d => new DevicePlaceDto(Clean(d.Address), d.HasNode ? (int)d.Node : null))],
        [.. l.Memory.Select(m => new MemoryPlaceDto((int)m.Node, (long)m.Bytes))], []);

    public static IReadOnlyList<ObservedVmDto> ForeignVms(ForeignVms foreign, DateTimeOffset at) => [.. foreign.Vms.Take(MostForeignVms).OrderBy(v => v.ProcessId).Select(v => new ObservedVmDto(
        (int)v.ProcessId, Clean(v.Name), Clean(v.Program), Finite(v.ExitsPerSecond), v.Vectors.Take(MostVectors).Sum(x => Finite(x.InterruptsPerSecond)),
        v.HasExitsPerInterrupt ? Finite(v.ExitsPerInterrupt) : null, v.HasMarginalExitsPerInterrupt ? Finite(v.MarginalExitsPerInterrupt) : null,
        [.. v.Vectors.Take(MostVectors).Select(x => new ObservedVectorDto(Clean(x.Address), (int)x.Vector, Finite(x.InterruptsPerSecond), Clean(x.Grade)))], at))];

    public static IReadOnlyList<SeriesDto> Series(SampleSchema schema) => [.. schema.Series.Select(s => new SeriesDto(
        Clean(s.Key), s.Kind == Contracts.SeriesKind.Gauge ? Api.SeriesKind.Gauge : Api.SeriesKind.Counter, Clean(s.Unit)))];

    public static HostFactsDto Facts(Inventory i) => new(
        Clean(i.Kernel), Clean(i.CpuVendor), Clean(i.CpuModel), [.. i.OnlineCpus.Select(c => (int)c)], (long)i.MemoryBytes,
        [.. i.Nodes.Select(n => new NumaNodeDto((int)n.Id, [.. n.Cpus.Select(c => (int)c)], (long)n.MemoryBytes))],
        [.. i.HugePages.Select(h => new HugePagePoolDto((int)h.Node, (long)h.PageBytes, (long)h.Total, (long)h.Free))],
        [.. i.Images.Select(m => new ImageDto(Clean(m.Name), Clean(m.Kind), (long)m.Bytes))]);

    public static IReadOnlyList<CapabilityDto> Capabilities(Inventory i) => [.. i.Capabilities.Select(c => new CapabilityDto(Clean(c.Name), c.Present, Clean(c.Detail), Text(c.Remedy)))];

    public static DeviceFacts Device(PciDevice d) => new(
        Clean(d.Name), $"{d.VendorId:x4}", $"{d.DeviceId:x4}", $"{d.ClassCode:x6}", Text(d.Driver), d.HasIommuGroup ? (int)d.IommuGroup : null, d.HasNumaNode ? (int)d.NumaNode : null,
        d.HasVfIndex ? (int)d.VfIndex : null, (int)d.SriovTotalVfs, (int)d.SriovNumVfs, [.. d.NetInterfaces.Select(Clean)], Text(d.Mac), d.LinkUp, Text(d.InUse));

    // JSON has no word for the others.
    private static double Finite(double value) => double.IsFinite(value) ? value : 0;

    private static VmState State(Contracts.VmState state) => state switch
    {
        Contracts.VmState.Stopped => VmState.Stopped,
        Contracts.VmState.Starting => VmState.Starting,
        Contracts.VmState.Running => VmState.Running,
        Contracts.VmState.Stopping => VmState.Stopping,
        Contracts.VmState.Failed => VmState.Failed,
        _ => VmState.Unknown,
    };
}
