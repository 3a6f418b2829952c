using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Live;

/// <summary>One who watches a VM: what it has been sent so far.</summary>
internal sealed class RowViewer(RowStream stream, TimeSpan backfill, Action leave) : IDisposable
{
    /// <summary>Rows in one frame: some hundred kilobytes, so that a browser draws the past in few steps without one long one.</summary>
    private const int MostRowsInFrame = 300;

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public bool HasLeft { get; private set; }

    /// <summary>Rows after a time, or with null the past that was asked for; oldest first. And whether the link is up.</summary>
    public (IReadOnlyList<LiveRow> Rows, bool LinkUp) After(double? time) => stream.After(time, backfill);

    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Frames for the browser: the link's state, the past, then each row as it comes.</summary>
    public async IAsyncEnumerable<byte[]> FramesAsync([EnumeratorCancellation] CancellationToken ct)
    {
        double? sent = null;
        bool? link = null;
        IReadOnlyList<SeriesDto>? series = null;
        Wake();
        await foreach (var _ in _wake.Reader.ReadAllAsync(ct))
        {
            var (rows, linkUp) = stream.After(sent, backfill);
            if (link != linkUp)
            {
                link = linkUp;
                yield return LiveFrame.Link(linkUp);
            }
            // The first thing a viewer gets is the past to it, however it reached us.
            var first = sent is null;
            for (var begin = 0; begin < rows.Count;)
            {
                var one = rows[begin];
                var end = begin + 1;
                while (end < rows.Count && end - begin < MostRowsInFrame && ReferenceEquals(rows[end].Series, one.Series) && (first || rows[end].Backfill == one.Backfill))
                    end++;
                if (!ReferenceEquals(series, one.Series))
                {
                    series = one.Series;
                    yield return LiveFrame.Schema(series);
                }
                yield return LiveFrame.Rows(rows, begin, end, first ? rows.Count > 1 || one.Backfill : one.Backfill);
                begin = end;
            }
            if (rows.Count > 0)
                sent = rows[^1].Time;
        }
    }

    public void Dispose()
    {
        if (HasLeft)
            return;
        HasLeft = true;
        _wake.Writer.TryComplete();
        leave();
    }
}
