namespace Exitless.ControlPlane.Api;

/// <summary>What the values of a series mean.</summary>
public enum SeriesKind
{
    /// <summary>Rises only, from the start of the VM or of the device's assignment.</summary>
    Counter,
    /// <summary>A level.</summary>
    Gauge,
}

/// <summary>A series of a VM: <c>kvm.vm.*</c>, <c>kvm.vcpu.N.*</c>, <c>vfio.ADDRESS.msix.VECTOR</c>, <c>process.*</c>.</summary>
public sealed record SeriesDto(string Key, SeriesKind Kind, string Unit);

/// <summary>A question about a VM's stored metrics (a row every 10 s).</summary>
/// <param name="VmId">The VM.</param>
/// <param name="Series">Keys; a trailing <c>*</c> takes all that begin so; empty: all.</param>
/// <param name="From">From this time, inclusive.</param>
/// <param name="To">To this time, exclusive.</param>
/// <param name="Step">Null: the rows as they are stored, with raw values. Otherwise one point a step that has rows: a counter's rate per second over the step, a gauge's last value.</param>
public sealed record MetricsRequest(Guid VmId, IReadOnlyList<string> Series, DateTimeOffset From, DateTimeOffset To, TimeSpan? Step);

/// <summary>Stored metrics, column by column.</summary>
/// <param name="VmId">The VM.</param>
/// <param name="From">From this time, inclusive.</param>
/// <param name="To">To this time, exclusive.</param>
/// <param name="StepSeconds">Seconds a point; null: raw rows.</param>
/// <param name="Times">Unix milliseconds of each point; with a step, the beginning of the step.</param>
/// <param name="Series">The series, each with as many values as there are times.</param>
public sealed record MetricsDto(Guid VmId, DateTimeOffset From, DateTimeOffset To, double? StepSeconds, IReadOnlyList<long> Times, IReadOnlyList<MetricSeriesDto> Series);

/// <summary>One series of an answer.</summary>
/// <param name="Key">Its key.</param>
/// <param name="Kind">Counter or gauge.</param>
/// <param name="Unit">Unit of the values; of a counter's rate, this per second.</param>
/// <param name="Values">One value a time; null where the series has none.</param>
public sealed record MetricSeriesDto(string Key, SeriesKind Kind, string Unit, IReadOnlyList<decimal?> Values);

/// <summary>Stored metrics of VMs.</summary>
public interface IMetricsQuery
{
    /// <summary>Every series that the VM has had, by key.</summary>
    Task<IReadOnlyList<SeriesDto>> ListSeriesAsync(Guid vmId, CancellationToken ct);

    /// <summary>Answers a question; <see cref="ProblemException"/> when the range or step is impossible.</summary>
    Task<MetricsDto> QueryAsync(MetricsRequest request, CancellationToken ct);
}
