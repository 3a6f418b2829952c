namespace Exitless.ControlPlane.Authority;

/// <summary>A certificate that was issued to an agent. One that is not in this table opens no link.</summary>
internal sealed class AgentCertificateRow
{
    /// <summary>Serial number, hexadecimal.</summary>
    public required string Serial { get; init; }

    public required Guid HostId { get; init; }

    public required DateTimeOffset NotBefore { get; init; }

    public required DateTimeOffset NotAfter { get; init; }

    public DateTimeOffset? RevokedAt { get; set; }
}
