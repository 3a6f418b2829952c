using System.Buffers.Binary;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest;

namespace Exitless.ControlPlane.Live;

/// <summary>
/// Frames of <c>WatchVm</c>, little-endian. 1: schema, UTF-8 JSON. 2: rows, u8 kind (2 live, 3 backfill), u16 rows, u16 series, then per row f64 Unix
/// milliseconds and one raw f64 a series. 3: link, u8 0 lost or 1 up.
/// </summary>
internal static class LiveFrame
{
    private const byte SchemaKind = 1;
    private const byte RowsKind = 2;
    private const byte LinkKind = 3;
    private const byte Live = 2;
    private const byte Past = 3;
    private const int RowsHeader = 6;

    public static byte[] Link(bool up) => [LinkKind, up ? (byte)1 : (byte)0];

    public static byte[] Schema(IReadOnlyList<SeriesDto> series)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(new { series }, JsonFormat.Options);
        return [SchemaKind, .. json];
    }

    public static byte[] Rows(List<LiveRow> rows, int begin, int end, bool backfill)
    {
        var columns = rows[begin].Values.Length;
        var frame = new byte[RowsHeader + ((end - begin) * (columns + 1) * sizeof(double))];
        frame[0] = RowsKind;
        frame[1] = backfill ? Past : Live;
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(2), (ushort)(end - begin));
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(4), (ushort)columns);
        var at = frame.AsSpan(RowsHeader);
        for (var r = begin; r < end; r++)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(at, rows[r].Time);
            at = at[sizeof(double)..];
            foreach (var value in rows[r].Values)
            {
                BinaryPrimitives.WriteDoubleLittleEndian(at, value);
                at = at[sizeof(double)..];
            }
        }
        return frame;
    }
}
