namespace Exitless.Linux.Interrupts;

/// <summary>The name under which VFIO requests an MSI-X vector, <c>vfio-msix[‹vector›](‹address›)</c> (drivers/vfio/pci/vfio_pci_intrs.c).</summary>
public static class VfioVectorName
{
    /// <summary>An address as one number: domain in bits 31-16, bus in 15-8, device and function in 7-0.</summary>
    /// <param name="address">dddd:bb:dd.f.</param>
    /// <exception cref="ArgumentException">It is no address.</exception>
    public static uint PackAddress(ReadOnlySpan<char> address)
    {
        Span<byte> bytes = stackalloc byte[address.Length];
        for (var i = 0; i < address.Length; i++)
            bytes[i] = (byte)address[i];
        return TryPack(bytes, out var packed) ? packed : throw new ArgumentException($"'{address}' is no PCI address.", nameof(address));
    }

    /// <summary>Finds the last such name in a line.</summary>
    internal static bool TryFind(ReadOnlySpan<byte> line, out uint function, out int vector)
    {
        (function, vector) = (0, 0);
        var name = line.LastIndexOf("vfio-msix["u8);
        if (name < 0)
            return false;
        // "0](0000:01:10.0)"
        var rest = line[(name + 10)..];
        var at = 0;
        while (at < rest.Length && IsDigit(rest[at]))
            vector = vector * 10 + rest[at++] - '0';
        return at is > 0 and < 6 && rest[at..].StartsWith("]("u8) && rest.Length >= at + 14 && TryPack(rest.Slice(at + 2, 12), out function);
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
