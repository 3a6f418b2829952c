using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Operations;

/// <inheritdoc />
internal sealed class OperationLog(
    IDbContextFactory<ControlPlaneContext> contexts, ChangeRunner runner, OperationView view, IChangeFeed feed, TimeProvider time, IOptions<ControlPlaneOptions> options) : IOperationLog
{
    private const int MostListed = 1000;

    public async Task<IReadOnlyList<OperationDto>> ListAsync(OperationFilter filter, CancellationToken ct)
    {
        if (filter.Limit is < 1 or > MostListed)
            throw ProblemException.ForField(ProblemKind.Invalid, "limit-invalid", "The limit is out of range.", "limit", $"{filter.Limit} is not between 1 and {MostListed}.");
        await using var db = await contexts.CreateDbContextAsync(ct);
        var all = db.Operations.AsNoTracking();
        if (filter.Projects is { } projects)
            all = all.Where(o => o.ProjectId != null && projects.Contains(o.ProjectId.Value));
        var rows = await all
            .Where(o => (filter.HostId == null || o.HostId == filter.HostId) && (filter.VmId == null || o.VmId == filter.VmId) && (filter.Active == null || filter.Active == (o.FinishedAt == null)))
            .Where(o => (filter.Kind == null || o.Kind == filter.Kind) && (filter.State == null || o.State == filter.State) && (filter.Before == null || o.Id < filter.Before))
            .OrderByDescending(o => o.Id).Take(filter.Limit).ToListAsync(ct);
        return await ViewAsync(db, rows, ct);
    }

    /// <summary>These operations, in no order.</summary>
    internal async Task<IReadOnlyList<OperationDto>> ReadAsync(IReadOnlyList<Guid> ids, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await ViewAsync(db, await db.Operations.AsNoTracking().Where(o => ids.Contains(o.Id)).ToListAsync(ct), ct);
    }

    private async Task<IReadOnlyList<OperationDto>> ViewAsync(ControlPlaneContext db, List<OperationRow> rows, CancellationToken ct)
    {
        var hostIds = rows.Select(r => r.HostId).Distinct().ToList();
        var hosts = await db.Hosts.AsNoTracking().Where(h => hostIds.Contains(h.Id)).Select(h => new { h.Id, h.OfferedGeneration, h.LastSeenAt }).ToDictionaryAsync(h => h.Id, ct);
        return [.. rows.Select(r => hosts.GetValueOrDefault(r.HostId) is { } h ? view.ToDto(r, h.OfferedGeneration, h.LastSeenAt) : view.ToDto(r, long.MaxValue, null))];
    }

    public async Task<OperationDto> GetAsync(Guid operationId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, operationId, ct);
    }

    internal async Task<OperationDto> GetAsync(ControlPlaneContext db, Guid operationId, CancellationToken ct)
    {
        var row = await db.Operations.AsNoTracking().SingleOrDefaultAsync(o => o.Id == operationId, ct) ?? throw ProblemException.NotFound("Operation", operationId);
        var host = await db.Hosts.AsNoTracking().Where(h => h.Id == row.HostId).Select(h => new { h.OfferedGeneration, h.LastSeenAt }).SingleOrDefaultAsync(ct);
        return view.ToDto(row, host?.OfferedGeneration ?? long.MaxValue, host?.LastSeenAt);
    }

    public async Task<OperationDto> WaitAsync(Guid operationId, TimeSpan limit, CancellationToken ct)
    {
        // Subscribed before it is read: an end between the two is not missed.
        using var changed = new SemaphoreSlim(0);
        using var subscription = feed.Subscribe(c =>
        {
            if (c.Kind == ChangeKind.Operation && c.Id == operationId)
                changed.Release();
        });
        using var over = new CancellationTokenSource(limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, ct);
        while (true)
        {
            var operation = await GetAsync(operationId, ct);
            if (operation.Finished)
                return operation;
            try
            {
                await changed.WaitAsync(either.Token);
            }
            catch (OperationCanceledException) when (over.IsCancellationRequested && !ct.IsCancellationRequested)
            {
                return operation;
            }
        }
    }

    public async Task<OperationDto> CancelAsync(Guid operationId, Actor by, CancellationToken ct)
    {
        await runner.RunAsync(async (db, changes) =>
        {
            var hostId = await db.Operations.Where(o => o.Id == operationId).Select(o => (Guid?)o.HostId).SingleOrDefaultAsync(ct) ?? throw ProblemException.NotFound("Operation", operationId);
            var host = await db.LockHostAsync(hostId, ct) ?? throw ProblemException.NotFound("Host", hostId);
            var operation = await db.Operations.SingleAsync(o => o.Id == operationId, ct);
            await Rights.DemandAsync(db, changes, by, Role.Operator, operation.ProjectId, ct);
            if (operation.FinishedAt is { } finished)
                throw new ProblemException(ProblemKind.Conflict, "operation-finished", "The operation has ended.", $"{OperationView.Title(operation)} ended at {finished:u}.");
            if (!await OperationEnding.TakeBackAsync(db, changes, host, operation, options.Value.OperationLimit, ct))
            {
                throw new ProblemException(ProblemKind.Conflict, "operation-under-way", "The operation cannot be taken back.",
                    $"{host.Name} has been told already, and '{OperationView.Title(operation)}' cannot be undone half-way.", $"Wait until it ends (at {operation.ExpiresAt:u} at the latest), then ask for the opposite.");
            }
            await OperationEnding.EndAsync(db, changes, host, operation, OperationState.Cancelled, new ProblemDto("cancelled", $"Cancelled by {by.Name}.", null, null, null), ct, by);
        }, ct);
        return await GetAsync(operationId, ct);
    }
}
