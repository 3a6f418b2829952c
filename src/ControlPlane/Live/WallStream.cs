using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Live;

/// <summary>
/// Many VMs for one viewer who wants a small graph of each: once a second one frame for all, with a few sums of each row's counters instead of the whole row. A wall of
/// 48 VMs costs the server and the wire what one VM's page does.
/// </summary>
internal static partial class WallStream
{
    /// <summary>As many VMs as one viewer can watch at once.</summary>
    public const int MostVms = 64;

    /// <summary>The columns: exits of all causes, those for interrupts of the host, those of halts, those of port and memory I/O; interrupts of devices; guest nanoseconds.</summary>
    public const int Columns = 6;

    private const byte FrameKind = 4;
    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Frames, little-endian: u8 4, then for each VM that has something new: u16 its place in the request, u8 0 link lost or 1 up, u16 rows, and per row f64 Unix milliseconds and
    /// <see cref="Columns"/> f64: raw sums of counters, NaN where the VM has none of them. The first frames hold the past.
    /// </summary>
    public static async IAsyncEnumerable<byte[]> FramesAsync(IReadOnlyList<RowViewer> viewers, TimeProvider time, [EnumeratorCancellation] CancellationToken ct)
    {
        var vms = viewers.Select(viewer => new Watched(viewer)).ToArray();
        using var beat = new PeriodicTimer(Beat, time);
        do
        {
            if (Frame(vms) is { } frame)
                yield return frame;
        }
        while (await beat.WaitForNextTickAsync(ct));
    }

    private static byte[]? Frame(Watched[] vms)
    {
        using var frame = new MemoryStream();
        Span<byte> head = stackalloc byte[5];
        Span<byte> row = stackalloc byte[(Columns + 1) * sizeof(double)];
        for (var i = 0; i < vms.Length; i++)
        {
            if (!vms[i].Read())
                continue;
            if (frame.Length == 0)
                frame.WriteByte(FrameKind);
            BinaryPrimitives.WriteUInt16LittleEndian(head, (ushort)i);
            head[2] = vms[i].LinkUp ? (byte)1 : (byte)0;
            BinaryPrimitives.WriteUInt16LittleEndian(head[3..], (ushort)vms[i].Rows.Count);
            frame.Write(head);
            foreach (var one in vms[i].Rows)
            {
                vms[i].Sums(one, row);
                frame.Write(row);
            }
        }
        return frame.Length == 0 ? null : frame.ToArray();
    }

    [GeneratedRegex(@"^kvm\.vcpu\.[0-9]+\.(?<name>.+)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex VcpuSeries();

    [GeneratedRegex(@"^vfio\.[0-9a-f:.]+\.msix\.[0-9]+$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex VectorSeries();

    private sealed class Watched(RowViewer viewer)
    {
        private IReadOnlyList<SeriesDto>? _series;
        private int[] _columns = [];
        private readonly bool[] _has = new bool[Columns];
        private double? _sent;
        private bool? _told;

        public IReadOnlyList<LiveRow> Rows { get; private set; } = [];

        public bool LinkUp { get; private set; }

        public bool Read()
        {
            (Rows, LinkUp) = viewer.After(_sent);
            var changed = Rows.Count > 0 || _told != LinkUp;
            _told = LinkUp;
            if (Rows.Count > 0)
                _sent = Rows[^1].Time;
            return changed;
        }

        public void Sums(LiveRow row, Span<byte> into)
        {
            if (!ReferenceEquals(_series, row.Series))
                Learn(row.Series);
            Span<double> sums = stackalloc double[Columns];
            for (var i = 0; i < _columns.Length; i++)
            {
                if (_columns[i] >= 0)
                    sums[_columns[i]] += row.Values[i];
            }
            BinaryPrimitives.WriteDoubleLittleEndian(into, row.Time);
            for (var i = 0; i < Columns; i++)
                BinaryPrimitives.WriteDoubleLittleEndian(into[((i + 1) * sizeof(double))..], _has[i] ? sums[i] : double.NaN);
        }

        // Once for each schema: which column of the wall a series adds to.
        private void Learn(IReadOnlyList<SeriesDto> series)
        {
            _series = series;
            _columns = [.. series.Select(s => ColumnOf(s.Key))];
            Array.Clear(_has);
            foreach (var column in _columns.Where(c => c >= 0))
                _has[column] = true;
        }

        private static int ColumnOf(string key) => key == "process.cpu_guest_ns" ? 5
            : VectorSeries().IsMatch(key) ? 4
            : VcpuSeries().Match(key) is { Success: true } match ? match.Groups["name"].Value switch { "exits" => 0, "irq_exits" => 1, "halt_exits" => 2, "io_exits" or "mmio_exits" => 3, _ => -1 }
            : -1;
    }
}
