using System.Buffers;
using System.Globalization;
using System.Text.Unicode;

namespace Exitless.GuestReporter;

/// <summary>
/// One report: a line of words, <c>exitless-interrupts 1</c> (the second is the version) and then <c>dddd:bb:dd.f/vector=count</c> for each vector. docs/exit-less.md has the format and its limits.
/// </summary>
internal static class ReportLine
{
    /// <summary>The vsock port of the host's at which reports are taken.</summary>
    public const uint Port = 7445;

    /// <summary>So many vectors are reported; the rest are left out.</summary>
    public const int MostVectors = 4096;

    private const int MostVectorBytes = 48;

    /// <summary>Writes the report of a text of /proc/interrupts.</summary>
    public static void Write(ReadOnlySpan<byte> interrupts, IBufferWriter<byte> output)
    {
        output.Write("exitless-interrupts 1"u8);
        var vectors = 0;
        InterruptCounts.Each(interrupts, (address, vector, count) =>
        {
            if (vectors++ >= MostVectors)
                return;
            var room = output.GetSpan(MostVectorBytes);
            room[0] = (byte)' ';
            address.CopyTo(room[1..]);
            Utf8.TryWrite(room[(1 + address.Length)..], CultureInfo.InvariantCulture, $"/{vector}={count}", out var rest);
            output.Advance(1 + address.Length + rest);
        });
        output.Write("\n"u8);
    }
}
