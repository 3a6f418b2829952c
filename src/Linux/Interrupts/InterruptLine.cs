using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Interrupts;

/// <summary>
/// One interrupt of the host, from /sys/kernel/irq/‹n› (Documentation/ABI/testing/sysfs-kernel-irq): <c>per_cpu_count</c>, a number for each CPU that the kernel
/// may have, and <c>actions</c>, the names of those who requested it. Both stay open; reading allocates nothing.
/// </summary>
internal sealed class InterruptLine : IDisposable
{
    private const long Wrap = 1L << 32;   // the kernel counts each CPU's in 32 bits
    private const int NameEvery = 10;
    private readonly SafeFileHandle _count;
    private readonly SafeFileHandle _names;
    private long _wrapped;
    private bool _read;
    private int _still;

    private InterruptLine(int number, SafeFileHandle count, SafeFileHandle names) => (Number, _count, _names) = (number, count, names);

    public int Number { get; }

    /// <summary>Whose it is (<see cref="VfioVectorName.PackAddress"/>) while <see cref="IsRequested"/>.</summary>
    public uint Function { get; private set; }

    public int Vector { get; private set; }

    /// <summary>VFIO has requested it: the guest has unmasked the vector.</summary>
    public bool IsRequested { get; private set; }

    public long Count { get; private set; }

    /// <summary>Opens an interrupt's files.</summary>
    /// <param name="error">Why not; see <see cref="Errno"/>.</param>
    public static InterruptLine? TryOpen(HostRoot root, int number, out int error)
    {
        var folder = root.Sys($"kernel/irq/{number}/");
        if (Files.TryOpen(folder + "per_cpu_count", OpenMode.Read, out error) is not { } count)
            return null;
        if (Files.TryOpen(folder + "actions", OpenMode.Read, out error) is { } names)
            return new InterruptLine(number, count, names);
        count.Dispose();
        return null;
    }

    /// <summary>
    /// Reads again. The name is read when the count has come to stand still, and at every tenth reading while it does: one that rises is still requested by whom it was.
    /// </summary>
    /// <param name="buffer">A page: what such a file holds at most.</param>
    /// <param name="isCut">The kernel has more CPUs than a page holds numbers.</param>
    /// <returns>False: the interrupt is gone.</returns>
    public bool Read(Span<byte> buffer, ReadMeter meter, out bool isCut)
    {
        isCut = false;
        var before = Count;
        var known = _read && IsRequested;
        if (known && !ReadCount(buffer, meter, out isCut))
            return false;
        _still = Count == before ? _still + 1 : 0;
        if (known && _still % NameEvery != 1)
            return true;
        if (!ReadName(buffer, meter))
            return false;
        return known || !IsRequested || ReadCount(buffer, meter, out isCut);
    }

    public void Dispose()
    {
        _count.Dispose();
        _names.Dispose();
    }

    private bool ReadName(Span<byte> buffer, ReadMeter meter)
    {
        var length = meter.Count(Files.TryReadAt(_names, buffer, 0, out _));
        if (length < 0)
            return false;
        IsRequested = VfioVectorName.TryFind(buffer[..length], out var function, out var vector);
        (Function, Vector) = (function, vector);
        return true;
    }

    // "0,1926688": a page at most.
    private bool ReadCount(Span<byte> buffer, ReadMeter meter, out bool isCut)
    {
        var length = meter.Count(Files.TryReadAt(_count, buffer, 0, out _));
        isCut = length > 0 && buffer[length - 1] != '\n';
        if (length <= 0)
            return false;
        long sum = 0, number = 0;
        foreach (var c in buffer[..length])
        {
            if (c is >= (byte)'0' and <= (byte)'9')
                number = number * 10 + c - '0';
            else
                (sum, number) = (sum + number, 0);
        }
        while (_read && sum + _wrapped < Count)
            _wrapped += Wrap;
        (Count, _read) = (sum + _wrapped, true);
        return true;
    }
}
