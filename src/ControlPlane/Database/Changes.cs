using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Audit;
using Exitless.ControlPlane.Events;
using Exitless.ControlPlane.Hosts;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Database;

/// <summary>One change of the database with all that must happen after it is committed: the feed hears of it, the hosts' links are woken.</summary>
internal sealed class Changes(TimeProvider time)
{
    private readonly HashSet<Change> _changes = [];

    /// <summary>Who changes something here; null: the control plane itself.</summary>
    public Actor? By { get; set; }

    public DateTimeOffset Now { get; } = time.GetUtcNow();

    public IReadOnlyCollection<Change> Announced => _changes;

    /// <summary>Hosts whose wanted state rose.</summary>
    public HashSet<Guid> WantedHosts { get; } = [];

    /// <summary>Raises what is wanted of a host by one generation, and gives that.</summary>
    public long Want(HostRow host)
    {
        WantedHosts.Add(host.Id);
        return ++host.WantedGeneration;
    }

    public Guid NewId() => Guid.CreateVersion7(Now);

    public void Announce(ChangeKind kind, Guid id) => _changes.Add(new Change(kind, id));

    /// <summary>Adds an event to the same transaction.</summary>
    public void Tell(ControlPlaneContext db, string kind, EventSeverity severity, string message, (Guid Id, string Name)? host = null, (Guid Id, string Name)? vm = null, string? device = null, Actor? by = null, DateTimeOffset? at = null)
    {
        var row = new EventRow
        {
            Id = NewId(),
            Time = at ?? Now,
            Kind = kind,
            Severity = severity,
            Message = message,
            HostId = host?.Id,
            HostName = host?.Name,
            VmId = vm?.Id,
            VmName = vm?.Name,
            Device = device,
            Actor = by?.Name,
        };
        db.Events.Add(row);
        Announce(ChangeKind.Event, row.Id);
    }
}

/// <summary>Runs changes, each in a transaction of its own, and tells of them when they are committed.</summary>
internal sealed class ChangeRunner(IDbContextFactory<ControlPlaneContext> contexts, ChangeFeed feed, WantedSignal wanted, TimeProvider time)
{
    /// <summary>The lock that writers of events take turns by.</summary>
    private const long EventWriters = 0x4558_4954_4c45_5353;

    public async Task<T> RunAsync<T>(Func<ControlPlaneContext, Changes, Task<T>> change, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        await using var transaction = await db.Database.BeginTransactionAsync(ct);
        var changes = new Changes(time);
        var guard = ChangeGuard.Current;
        if (guard is not null)
            await guard.BeginAsync(db, ct);
        var result = await change(db, changes);
        await ProjectMarks.SetAsync(db, ct);
        AuditTrail.Write(db, changes);
        // Events are written last, one transaction after the other: an event that is seen has none before it that is yet to come, and whoever holds the turn waits for no row.
        var events = db.ChangeTracker.Entries<EventRow>().Where(e => e.State == EntityState.Added).ToList();
        events.ForEach(e => e.State = EntityState.Detached);
        await db.SaveChangesAsync(ct);
        if (guard is not null)
            await guard.CommitAsync(db, ct);
        if (events.Count > 0)
        {
            await db.Database.ExecuteSqlAsync($"SELECT pg_advisory_xact_lock({EventWriters})", ct);
            db.Events.AddRange(events.Select(e => e.Entity));
            await db.SaveChangesAsync(ct);
        }
        await transaction.CommitAsync(ct);
        guard?.Committed();
        foreach (var host in changes.WantedHosts)
            wanted.Raise(host);
        foreach (var announced in changes.Announced)
            feed.Publish(announced);
        return result;
    }

    public Task RunAsync(Func<ControlPlaneContext, Changes, Task> change, CancellationToken ct) => RunAsync(async (db, changes) =>
    {
        await change(db, changes);
        return true;
    }, ct);
}

/// <summary>Wakes whoever sends a host its wanted state.</summary>
internal sealed class WantedSignal
{
    private volatile Action<Guid>? _listener;

    public void Raise(Guid hostId) => _listener?.Invoke(hostId);

    public void Listen(Action<Guid> listener) => _listener = listener;
}
