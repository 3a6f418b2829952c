using System.Runtime.CompilerServices;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.SignalR;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Live;

/// <summary>Live rows and consoles for browsers, outside the Blazor circuit. MessagePack carries the frames as they are.</summary>
[Authorize]
internal sealed class LiveHub(LiveStreams streams, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time) : Hub
{
    public const string Path = "/hubs/live";

    private const int LongestInput = 64 * 1024;

    /// <summary>Frames of a VM's live rows (see <see cref="LiveFrame"/>), the last seconds first.</summary>
    public async IAsyncEnumerable<byte[]> WatchVm(Guid vmId, int backfillSeconds, [EnumeratorCancellation] CancellationToken ct)
    {
        var host = await HostOfAsync(vmId, Role.Viewer, ct);
        using var viewer = streams.Watch(vmId, host, TimeSpan.FromSeconds(Math.Clamp(backfillSeconds, 0, LiveStreams.Backfill.TotalSeconds)));
        await foreach (var frame in viewer.FramesAsync(ct))
            yield return frame;
    }

    /// <summary>Frames of several VMs at once (see <see cref="WallStream"/>), the last seconds first. VMs that are gone have no rows.</summary>
    public async IAsyncEnumerable<byte[]> WatchWall(Guid[] vmIds, int backfillSeconds, [EnumeratorCancellation] CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(vmIds);
        if (vmIds.Length is 0 or > WallStream.MostVms)
            throw new HubException($"{vmIds.Length} VMs are not between 1 and {WallStream.MostVms}.");
        Dictionary<Guid, Guid> hosts;
        await using (var db = await contexts.CreateDbContextAsync(ct))
        {
            var rights = await Rights.OfAsync(db, Actor.From(Context.User!).Id ?? Guid.Empty, ct);
            var found = await db.Vms.Where(v => vmIds.Contains(v.Id)).Select(v => new { v.Id, v.HostId, v.ProjectId }).ToListAsync(ct);
            if (found.Find(v => !rights.Has(Role.Viewer, v.ProjectId)) is { } hidden)
                throw new HubException(Rights.Refused(Role.Viewer, $"in the project {hidden.ProjectId:D}").Detail);
            hosts = found.ToDictionary(v => v.Id, v => v.HostId);
        }
        var backfill = TimeSpan.FromSeconds(Math.Clamp(backfillSeconds, 0, LiveStreams.Backfill.TotalSeconds));
        var viewers = new List<RowViewer>();
        try
        {
            foreach (var vm in vmIds)
                viewers.Add(streams.Watch(vm, hosts.GetValueOrDefault(vm), backfill));
            await foreach (var frame in WallStream.FramesAsync(viewers, time, ct))
                yield return frame;
        }
        finally
        {
            foreach (var viewer in viewers)
                viewer.Dispose();
        }
    }

    /// <summary>Frames of a VM's console: u64 offset and bytes.</summary>
    public async IAsyncEnumerable<byte[]> AttachConsole(Guid vmId, long fromOffset, [EnumeratorCancellation] CancellationToken ct)
    {
        var host = await HostOfAsync(vmId, Role.Operator, ct);
        using var viewer = streams.Attach(vmId, host, fromOffset);
        await foreach (var frame in viewer.FramesAsync(ct))
            yield return frame;
    }

    /// <summary>Types into a VM's console.</summary>
    public async Task WriteConsole(Guid vmId, byte[] data)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (data.Length > LongestInput)
            throw new HubException($"{data.Length} bytes at once are more than a console takes ({LongestInput}).");
        var host = await HostOfAsync(vmId, Role.Operator, Context.ConnectionAborted);
        if (data.Length > 0 && !streams.Type(vmId, host, data))
            throw new HubException("The VM's host is not connected; what was typed is lost.");
    }

    private async Task<Guid> HostOfAsync(Guid vmId, Role role, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var vm = await db.Vms.Where(v => v.Id == vmId).Select(v => new { v.HostId, v.ProjectId }).SingleOrDefaultAsync(ct) ?? throw new HubException(ProblemException.NotFound("VM", vmId).Detail);
        if (!(await Rights.OfAsync(db, Actor.From(Context.User!).Id ?? Guid.Empty, ct)).Has(role, vm.ProjectId))
            throw new HubException(Rights.Refused(role, $"in the project {vm.ProjectId:D}").Detail);
        return vm.HostId;
    }
}
