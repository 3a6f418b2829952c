using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Procfs;

/// <summary>The count of one MSI-X vector that VFIO requested.</summary>
/// <param name="Function">See <see cref="VfioInterrupts.PackAddress"/>.</param>
/// <param name="Vector">Its index in the function's table.</param>
/// <param name="Count">Interrupts on all CPUs since the vector was requested.</param>
public readonly record struct VfioVectorCount(uint Function, int Vector, long Count);

/// <summary>
/// Reads the <c>vfio-msix[‹vector›](‹address›)</c> lines of /proc/interrupts (the names that drivers/vfio/pci/vfio_pci_intrs.c requests).
/// Made to be read once a second: the file stays open, and reading allocates nothing once the buffer fits the host's interrupts.
/// </summary>
public sealed class VfioInterrupts : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly List<VfioVectorCount> _counts = [];
    private byte[] _buffer = new byte[32 * 1024];

    /// <summary>Opens /proc/interrupts.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public VfioInterrupts(HostRoot root) => _file = Files.Open(root.Proc("interrupts"), OpenMode.Read);

    /// <summary>The vectors as of the last <see cref="Read"/>, in the kernel's order.</summary>
    public ReadOnlySpan<VfioVectorCount> Counts => CollectionsMarshal.AsSpan(_counts);

    /// <summary>Reads the file again.</summary>
    public void Read()
    {
        var length = 0;
        while (true)
        {
            if (length == _buffer.Length)
                Array.Resize(ref _buffer, _buffer.Length * 2);
            var count = Files.ReadAt(_file, _buffer.AsSpan(length), length);
            if (count == 0)
                break;
            length += count;
        }
        Parse(_buffer.AsSpan(0, length), _counts);
    }

    /// <summary>An address as one number: domain in bits 31-16, bus in 15-8, device and function in 7-0.</summary>
    /// <param name="address">dddd:bb:dd.f.</param>
    public static uint PackAddress(ReadOnlySpan<char> address)
    {
        Span<byte> bytes = stackalloc byte[address.Length];
        for (var i = 0; i < address.Length; i++)
            bytes[i] = (byte)address[i];
        return TryPack(bytes, out var packed) ? packed : throw new ArgumentException($"'{address}' is no PCI address.", nameof(address));
    }

    /// <inheritdoc />
    public void Dispose() => _file.Dispose();

    internal static void Parse(ReadOnlySpan<byte> text, List<VfioVectorCount> counts)
    {
        counts.Clear();
        while (!text.IsEmpty)
        {
            var end = text.IndexOf((byte)'\n');
            var line = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            var name = line.LastIndexOf("vfio-msix["u8);
            if (name >= 0 && TryName(line[(name + 10)..], out var function, out var vector))
                counts.Add(new VfioVectorCount(function, vector, Sum(line)));
        }
    }

    // "0](0000:01:10.0)"
    private static bool TryName(ReadOnlySpan<byte> rest, out uint function, out int vector)
    {
        (function, vector) = (0, 0);
        var at = 0;
        while (at < rest.Length && IsDigit(rest[at]))
            vector = vector * 10 + rest[at++] - '0';
        return at is > 0 and < 6 && rest[at..].StartsWith("]("u8) && rest.Length >= at + 14 && TryPack(rest.Slice(at + 2, 12), out function);
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
            while (at < line.Length && IsDigit(line[at]))
                number = number * 10 + line[at++] - '0';
            if (at == start || at < line.Length && line[at] != ' ')
                return sum;
            sum += number;
        }
    }

    private static bool TryPack(ReadOnlySpan<byte> text, out uint packed)
    {
        packed = 0;
        if (text.Length != 12 || text[4] != ':' || text[7] != ':' || text[10] != '.')
            return false;
        if (!TryHex(text[..4], out var domain) || !TryHex(text[5..7], out var bus) || !TryHex(text[8..10], out var device) || !TryHex(text[11..], out var function))
            return false;
        packed = domain << 16 | bus << 8 | device << 3 | function;
        return device < 32 && function < 8;
    }

    private static bool TryHex(ReadOnlySpan<byte> text, out uint value)
    {
        value = 0;
        foreach (var c in text)
        {
            var digit = c switch { >= (byte)'0' and <= (byte)'9' => c - '0', >= (byte)'a' and <= (byte)'f' => c - 'a' + 10, _ => -1 };
            if (digit < 0)
                return false;
            value = value << 4 | (uint)digit;
        }
        return true;
    }

    private static bool IsDigit(byte c) => c is >= (byte)'0' and <= (byte)'9';
}
