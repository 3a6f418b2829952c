using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Link;

namespace Exitless.ControlPlane.Vms;

/// <summary>A filter of VMs in the database's terms.</summary>
internal static class VmFilters
{
    public static IQueryable<VmRow> Apply(IQueryable<VmRow> vms, VmFilter filter, LinkRegistry links)
    {
        if (filter.HostId is { } host)
            vms = vms.Where(v => v.HostId == host);
        if (filter.Seen is { } seen)
            vms = vms.Where(v => seen.Contains(v.ProjectId));
        if (filter.Projects is { Count: > 0 } projects)
            vms = vms.Where(v => projects.Contains(v.ProjectId));
        if (filter.Names is { Count: > 0 } names)
            vms = vms.Where(v => names.Contains(v.Name));
        if (filter.States is [var state])
            vms = vms.Where(v => v.State == state);
        else if (filter.States is { Count: > 1 } states)
            vms = vms.Where(v => states.Contains(v.State));
        if (filter.Desired is { Count: > 0 } desired)
            vms = vms.Where(v => desired.Contains(v.Desired));
        // Both values ask for nothing.
        if (filter.HostConnected.Distinct().ToList() is [var connected])
        {
            var linked = links.Connected;
            vms = connected ? vms.Where(v => linked.Contains(v.HostId)) : vms.Where(v => !linked.Contains(v.HostId));
        }
        if (filter.From is { } from)
            vms = vms.Where(v => string.Compare(v.Name, from) >= 0);
        return vms;
    }
}
