using Exitless.ControlPlane.Api;

namespace Exitless.Web.Tests;

/// <summary>Lists and overview over the store's lists: searched by names, sorted by name, and paged; what was asked is kept.</summary>
public sealed class FleetPart(MemoryStore store) : IFleetLists, IFleetOverview
{
    /// <summary>Every query, in order.</summary>
    public List<ListQuery> Queries { get; } = [];

    /// <summary>The audit log.</summary>
    public List<AuditDto> Audit { get; } = [];

    public Task<ListPage<HostDto>> HostsAsync(ListQuery query, CancellationToken ct)
    {
        store.Hosts.CountReading();
        return Page(store.Hosts.All, query, host => host.Name);
    }

    public Task<ListPage<VmDto>> VmsAsync(ListQuery query, CancellationToken ct) => Page(store.Vms.All, query, vm => vm.Name);

    public Task<ListPage<DeviceDto>> DevicesAsync(ListQuery query, CancellationToken ct) => Page(store.Hosts.Devices, query, device => device.Address);

    public Task<ListPage<OperationDto>> OperationsAsync(ListQuery query, CancellationToken ct) => Page(store.Operations.All, query, operation => operation.Title);

    public Task<ListPage<EventDto>> EventsAsync(ListQuery query, CancellationToken ct) => Page(store.Events.All, query, item => item.Message);

    public Task<ListPage<AuditDto>> AuditAsync(ListQuery query, Actor by, CancellationToken ct) => Page(Audit, query, entry => entry.ThingName);

    public Task<ListPage<FindingDto>> FindingsAsync(ListQuery query, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(query);
        var todo = query.Filters?.GetValueOrDefault("show") == "todo";
        return Page([.. store.Hosts.Findings.Where(f => !todo || f.Severity >= FindingSeverity.Warning).OrderByDescending(f => f.Severity)], query, finding => finding.Title);
    }

    public Task<FleetDto> GetAsync(bool hasty, CancellationToken ct)
    {
        var hosts = store.Hosts.All.Where(h => h.RevokedAt is null).GroupBy(h => h.Connected ? "linked" : "lost").ToDictionary(g => g.Key, g => g.Count(), StringComparer.Ordinal);
        var running = store.Vms.All.Where(vm => vm.State == VmState.Running).ToList();
        return Task.FromResult(new FleetDto(
            hosts, store.Vms.All.GroupBy(vm => vm.State).ToDictionary(g => g.Key, g => g.Count()), store.Hosts.All.Sum(h => h.VfCount), store.Hosts.All.Sum(h => h.FreeVfCount),
            store.Hosts.All.Sum(h => h.Facts?.OnlineCpus.Count ?? 0), running.Sum(vm => vm.Vcpus), store.Hosts.All.Sum(h => h.Facts?.MemoryBytes ?? 0), running.Sum(vm => (long)vm.MemoryMib << 20),
            store.Hosts.Findings.GroupBy(f => f.Severity).ToDictionary(g => g.Key, g => g.Count()),
            [.. running.Select((vm, i) => new BusyVmDto(vm.Id, vm.Name, vm.HostId, vm.HostName, 1.5 - i))], []));
    }

    private Task<ListPage<T>> Page<T>(List<T> all, ListQuery query, Func<T, string> name)
    {
        Queries.Add(query);
        var found = all.Where(one => name(one).Contains(query.Search, StringComparison.OrdinalIgnoreCase)).ToList();
        if (query.Sort is not null)
            found = [.. query.Descending ? found.OrderByDescending(name, StringComparer.Ordinal) : found.OrderBy(name, StringComparer.Ordinal)];
        return Task.FromResult(new ListPage<T>([.. found.Skip(query.Offset).Take(query.Count)], found.Count));
    }
}
