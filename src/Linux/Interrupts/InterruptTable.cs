using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Interrupts;

/// <summary>
/// The <c>vfio-msix</c> lines of the whole of /proc/interrupts, for hosts on which an interrupt cannot be read by itself: the kernel writes a number for each CPU and
/// each interrupt of the host. The file stays open, and reading allocates nothing once the buffer fits the host's interrupts.
/// </summary>
internal sealed class InterruptTable : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly ReadMeter _meter;
    private readonly List<VfioVectorCount> _counts = [];
    private byte[] _buffer = new byte[32 * 1024];

    /// <exception cref="LinuxException">/proc/interrupts cannot be opened.</exception>
    public InterruptTable(HostRoot root, ReadMeter meter) => (_file, _meter) = (Files.Open(root.Proc("interrupts"), OpenMode.Read), meter);

    /// <summary>The vectors as of the last <see cref="Read"/>, in the kernel's order.</summary>
    public ReadOnlySpan<VfioVectorCount> Counts => CollectionsMarshal.AsSpan(_counts);

    public void Read()
    {
        var length = 0;
        while (true)
        {
            if (length == _buffer.Length)
                Array.Resize(ref _buffer, _buffer.Length * 2);
            var count = _meter.Count(Files.ReadAt(_file, _buffer.AsSpan(length), length));
            if (count == 0)
                break;
            length += count;
        }
        Parse(_buffer.AsSpan(0, length), _counts);
    }

    public void Dispose() => _file.Dispose();

    internal static void Parse(ReadOnlySpan<byte> text, List<VfioVectorCount> counts)
    {
        counts.Clear();
        while (!text.IsEmpty)
        {
            var end = text.IndexOf((byte)'\n');
            var line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (VfioVectorName.TryFind(line, out var function, out var vector))
                counts.Add(new VfioVectorCount(function, vector, Sum(line)));
        }
    }

    // "  45:    0   1234  IR-PCI-MSIX-…": the numbers after the colon, one a CPU, up to the chip's name.
    private static long Sum(ReadOnlySpan<byte> line)
    {
        long sum = 0;
        var at = line.IndexOf((byte)':') + 1;
        while (true)
        {
            while (at < line.Length && line[at] == ' ')
                at++;
            var start = at;
            long number = 0;
            while (at < line.Length && line[at] is >= (byte)'0' and <= (byte)'9')
                number = number * 10 + line[at++] - '0';
            if (at == start || at < line.Length && line[at] != ' ')
                return sum;
            sum += number;
        }
    }
}
