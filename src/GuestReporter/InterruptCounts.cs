using System.Buffers.Text;

namespace Exitless.GuestReporter;

/// <summary>
/// Finds in the text of /proc/interrupts what each MSI and MSI-X vector of a PCI function has counted, over all CPUs. The chip's name says the function where vectors have an interrupt
/// domain for each device (Linux 6.2 and later, kernel/irq/msi.c: <c>PCI-MSIX-0000:00:02.0 0-edge</c>); before, function and vector are in the number behind it
/// (drivers/pci/msi/irqdomain.c, pci_msi_domain_calc_hwirq: <c>PCI-MSI 32768-edge</c>).
/// </summary>
internal static class InterruptCounts
{
    private const int AddressBytes = 12, VectorBits = 11, FunctionBits = 16;

    /// <summary>Calls back for each vector, in the kernel's order.</summary>
    public static void Each(ReadOnlySpan<byte> text, VectorSink sink)
    {
        Span<byte> address = stackalloc byte[AddressBytes];
        foreach (var range in text.Split((byte)'\n'))
        {
            var line = text[range];
            line = line[(line.IndexOf((byte)':') + 1)..];
            if (TryNumbers(ref line, out var count) && TryFunction(line, address, out var vector))
                sink(address, vector, count);
        }
    }

    // The numbers, one a CPU, up to the chip's name. The first line has names of CPUs, and some lines no chip.
    private static bool TryNumbers(ref ReadOnlySpan<byte> line, out long sum)
    {
        sum = 0;
        while (true)
        {
            line = line.TrimStart((byte)' ');
            if (!Utf8Parser.TryParse(line, out long number, out var digits) || digits < line.Length && line[digits] != ' ')
                return line.Length > 0;
            sum += number;
            line = line[digits..];
        }
    }

    private static bool TryFunction(ReadOnlySpan<byte> line, Span<byte> address, out int vector)
    {
        vector = 0;
        if (line.StartsWith("IR-"u8))
            line = line[3..];
        var end = line.IndexOf((byte)' ');
        if (end < 0)
            return false;
        var chip = line[..end];
        var rest = line[end..].TrimStart((byte)' ');
        if (!Utf8Parser.TryParse(rest, out ulong number, out _))
            return false;
        foreach (var kind in (ReadOnlySpan<byte[]>)[PerDeviceMsix, PerDeviceMsi])
        {
            if (!chip.StartsWith(kind) || chip.Length != kind.Length + AddressBytes || number >= 1 << VectorBits)
                continue;
            chip[kind.Length..].CopyTo(address);
            vector = (int)number;
            return true;
        }
        if (!chip.SequenceEqual("PCI-MSI"u8))
            return false;
        vector = (int)(number & ((1 << VectorBits) - 1));
        var function = (int)(number >> VectorBits) & ((1 << FunctionBits) - 1);
        return (number >> (VectorBits + FunctionBits)) <= ushort.MaxValue
            && System.Text.Unicode.Utf8.TryWrite(address, $"{number >> (VectorBits + FunctionBits):x4}:{function >> 8:x2}:{(function >> 3) & 0x1f:x2}.{function & 7}", out _);
    }

    private static readonly byte[] PerDeviceMsix = [.. "PCI-MSIX-"u8], PerDeviceMsi = [.. "PCI-MSI-"u8];
}

/// <summary>Takes what one vector has counted.</summary>
/// <param name="address">The function, dddd:bb:dd.f.</param>
/// <param name="vector">The vector's index in the function's table.</param>
/// <param name="count">Interrupts since its driver has asked for it, over all CPUs.</param>
internal delegate void VectorSink(ReadOnlySpan<byte> address, int vector, long count);
