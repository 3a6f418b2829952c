namespace Exitless.ControlPlane.Api;

/// <summary>Which rows of a list, in which order. What a list does not know of (a sort, a filter) it leaves aside, so that an old link still opens.</summary>
/// <param name="Search">Text that must occur in one of the list's names, without regard to case; empty: all.</param>
/// <param name="Filters">Values by filter, such as <c>state</c> = <c>running</c>.</param>
/// <param name="Sort">The column to sort by; null: the list's own order.</param>
/// <param name="Descending">From the largest to the smallest.</param>
/// <param name="Offset">Rows to pass over, from 0.</param>
/// <param name="Count">At most this many, 1 to 1000.</param>
public sealed record ListQuery(string Search = "", IReadOnlyDictionary<string, string>? Filters = null, string? Sort = null, bool Descending = false, int Offset = 0, int Count = 100);

/// <summary>Some rows of a list, and how many there are in all.</summary>
public sealed record ListPage<T>(IReadOnlyList<T> Items, int Total);

/// <summary>Lists of the whole fleet, page by page: searched, filtered and sorted where the rows are stored, so that a list of 100,000 costs no more than the page that is shown.</summary>
public interface IFleetLists
{
    /// <summary>Hosts. Sorts: name, state, cpus, memory, freeVfs, vms, kernel, heard. Filters: state (linked, not-ready, lost, enrolled, revoked).</summary>
    Task<ListPage<HostDto>> HostsAsync(ListQuery query, CancellationToken ct);

    /// <summary>VMs. Sorts: name, state, host, vcpus, memory, started, created. Filters: state (as <see cref="VmState"/>, in lower case, and deleting), link (up, lost), host (an id).</summary>
    Task<ListPage<VmDto>> VmsAsync(ListQuery query, CancellationToken ct);

    /// <summary>PCI functions. Sorts: address, host, name, driver, numa, use. Filters: kind (pf, vf, plain), use (free, owned, in-use, other), host (an id).</summary>
    Task<ListPage<DeviceDto>> DevicesAsync(ListQuery query, CancellationToken ct);

    /// <summary>Operations, the newest first. Sorts: begun, state, kind, host, by. Filters: state, kind (as the API names them), host (an id).</summary>
    Task<ListPage<OperationDto>> OperationsAsync(ListQuery query, CancellationToken ct);

    /// <summary>Events, the newest first. Sorts: time, severity, kind. Filters: severity (info, warning, error).</summary>
    Task<ListPage<EventDto>> EventsAsync(ListQuery query, CancellationToken ct);

    /// <summary>Changes that people and tokens made, the newest first; for administrators of the fleet only. Sorts: time, actor, action, thing. Filters: action (created, changed, deleted), kind (as <see cref="AuditDto.Kind"/>).</summary>
    Task<ListPage<AuditDto>> AuditAsync(ListQuery query, Actor by, CancellationToken ct);

    /// <summary>Findings of the doctors, the worst first. Sorts: severity, host, id. Filters: severity (ok, info, warning, blocker), show (todo: warnings and blockers; fine: the rest).</summary>
    Task<ListPage<FindingDto>> FindingsAsync(ListQuery query, CancellationToken ct);
}

/// <summary>The fleet at a glance.</summary>
/// <param name="Hosts">Hosts by state: linked, not-ready, lost, enrolled, revoked; states that no host is in are absent.</param>
/// <param name="Vms">VMs by what they do.</param>
/// <param name="Vfs">VFs that exist.</param>
/// <param name="FreeVfs">Of them, those that a new VM could own.</param>
/// <param name="Cpus">CPUs of all hosts.</param>
/// <param name="RunningVcpus">vCPUs of the VMs that run.</param>
/// <param name="MemoryBytes">Memory of all hosts.</param>
/// <param name="RunningMemoryBytes">Memory of the VMs that run.</param>
/// <param name="Findings">Findings by severity; severities of which there is none are absent.</param>
/// <param name="MostExits">The VMs with the most exits for each device interrupt, at most ten, the worst first.</param>
/// <param name="LastDay">Events of the last 24 hours by kind, the most frequent first.</param>
public sealed record FleetDto(
    IReadOnlyDictionary<string, int> Hosts, IReadOnlyDictionary<VmState, int> Vms, int Vfs, int FreeVfs, int Cpus, int RunningVcpus, long MemoryBytes, long RunningMemoryBytes,
    IReadOnlyDictionary<FindingSeverity, int> Findings, IReadOnlyList<BusyVmDto> MostExits, IReadOnlyList<EventCountDto> LastDay)
{
    /// <summary>Hosts that were not revoked.</summary>
    public int HostCount => Hosts.Where(h => h.Key != "revoked").Sum(h => h.Value);

    /// <summary>Hosts whose link is up.</summary>
    public int LinkedHosts => Hosts.GetValueOrDefault("linked") + Hosts.GetValueOrDefault("not-ready");
}

/// <summary>A VM, and how many exits it makes for each interrupt of its devices, over the last ten seconds of its newest row.</summary>
public sealed record BusyVmDto(Guid Id, string Name, Guid HostId, string HostName, double ExitsPerInterrupt);

/// <summary>How often a kind of event occurred.</summary>
public sealed record EventCountDto(string Kind, EventSeverity Severity, int Count);

/// <summary>The fleet at a glance; while changes come, it is counted about once a second however many look.</summary>
public interface IFleetOverview
{
    /// <summary>The fleet with every change that the feed has told of; the exits of VMs may be ten seconds old.</summary>
    /// <param name="hasty">Whether it is read at once. Whoever opens a page is in haste; whoever was told of a change may wait for the others of the same second.</param>
    /// <param name="ct">Ends the reading.</param>
    Task<FleetDto> GetAsync(bool hasty, CancellationToken ct);
}
