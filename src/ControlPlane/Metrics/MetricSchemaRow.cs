using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Metrics;

/// <summary>The columns of a VM's metric rows. Found by its content: an agent's own schema numbers begin again when it restarts.</summary>
internal sealed class MetricSchemaRow
{
    public int Id { get; init; }

    public required Guid VmId { get; init; }

    /// <summary>SHA-256 of the series, in order.</summary>
    public required byte[] Hash { get; init; }

    public required IReadOnlyList<SeriesDto> Series { get; init; }
}
