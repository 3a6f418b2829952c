using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Events;

/// <summary>An event, and its place among all: places rise in the order of commits, so that whoever has one has all before it.</summary>
internal sealed record PlacedEvent(long Place, EventDto Event);

/// <summary>Events as they are committed, from any place on, on whichever replica they happen.</summary>
internal sealed class EventStream(IDbContextFactory<ControlPlaneContext> contexts, IChangeFeed feed, TimeProvider time)
{
    private const int Together = 500;

    /// <summary>What happens on this replica is heard of at once; on others, within this time.</summary>
    private static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    /// <summary>The place of the newest event; 0: there is none.</summary>
    public async Task<long> NewestAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await db.Events.MaxAsync(e => (long?)e.Place, ct) ?? 0;
    }

    /// <summary>Events after a place, oldest first; null whenever there has been nothing new for a while.</summary>
    public async IAsyncEnumerable<PlacedEvent?> ReadAsync(long after, Func<IQueryable<EventRow>, IQueryable<EventRow>> choose, [EnumeratorCancellation] CancellationToken ct)
    {
        // Subscribed before it is read: what comes between the two is not missed.
        var changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var subscription = feed.Subscribe(c =>
        {
            if (c.Kind == ChangeKind.Event)
                changed.Writer.TryWrite(true);
        });
        while (!ct.IsCancellationRequested)
        {
            List<EventRow> rows;
            await using (var db = await contexts.CreateDbContextAsync(ct))
                rows = await choose(db.Events.AsNoTracking().Where(e => e.Place > after)).OrderBy(e => e.Place).Take(Together).ToListAsync(ct);
            foreach (var row in rows)
            {
                after = row.Place;
                yield return new PlacedEvent(row.Place, row.ToDto());
            }
            if (rows.Count == Together)
                continue;
            yield return null;
            using var over = new CancellationTokenSource(LookAgain, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, ct);
            try
            {
                await changed.Reader.ReadAsync(either.Token);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                // Looked at again.
            }
        }
    }
}
