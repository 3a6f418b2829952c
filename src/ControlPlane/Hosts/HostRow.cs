using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Hosts;

/// <summary>A host, as it is stored.</summary>
internal sealed class HostRow
{
    public required Guid Id { get; init; }

    public required string Name { get; set; }

    /// <summary>/etc/machine-id or the DMI product UUID; with the name it tells a host that comes back from a new one.</summary>
    public required string MachineId { get; set; }

    public required string AgentVersion { get; set; }

    public string BootId { get; set; } = "";

    public required DateTimeOffset EnrolledAt { get; set; }

    public DateTimeOffset? LastSeenAt { get; set; }

    public DateTimeOffset? RevokedAt { get; set; }

    /// <summary>Rises with every change of what is wanted of this host; whoever changes that holds this row's lock.</summary>
    public long WantedGeneration { get; set; }

    /// <summary>The newest generation that was handed to the agent's link: up to here the agent may have acted.</summary>
    public long OfferedGeneration { get; set; }

    /// <summary>The newest generation that the agent has said its reports reflect.</summary>
    public long ObservedGeneration { get; set; }

    /// <summary>The database was restored, and this host has not said since what it was last told: nothing may be wanted of it before.</summary>
    public bool Recovering { get; set; }

    public HostFactsDto? Facts { get; set; }

    public IReadOnlyList<CapabilityDto> Capabilities { get; set; } = [];

    /// <summary>What the doctor found; null before its first report.</summary>
    public StoredReport? Report { get; set; }
}

/// <summary>A PCI function, as its agent last reported it.</summary>
internal sealed class DeviceRow
{
    public required Guid HostId { get; init; }

    public required string Address { get; init; }

    public required DeviceFacts Facts { get; set; }

    /// <summary>Also in the facts; a column of its own because VFs are looked up by it.</summary>
    public string? PfAddress { get; set; }
}

/// <summary>What is known of a PCI function.</summary>
internal sealed record DeviceFacts(
    string Name, string VendorId, string DeviceId, string ClassCode, string? Driver, int? IommuGroup, int? NumaNode, int? VfIndex,
    int TotalVfs, int NumVfs, IReadOnlyList<string> NetInterfaces, string? Mac, bool LinkUp, string? InUse);

/// <summary>The VFs that a PF shall have.</summary>
internal sealed class PfRow
{
    public required Guid HostId { get; init; }

    public required string Address { get; init; }

    public required int NumVfs { get; set; }

    public required long Generation { get; set; }

    public ProblemDto? Problem { get; set; }
}
