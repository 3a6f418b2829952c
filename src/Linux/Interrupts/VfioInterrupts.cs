namespace Exitless.Linux.Interrupts;

/// <summary>
/// The interrupts that VFIO has requested on this host, for readers that come once a second. Each interrupt is read by itself from /sys/kernel/irq (Linux 4.9);
/// /proc/interrupts, a number for each CPU and each interrupt of the host, is read only where the kernel lacks that folder, where a page does not hold a number for
/// each CPU, or where the process has no descriptors left; at most once for all functions.
/// </summary>
/// <param name="root">The host.</param>
public sealed class VfioInterrupts(HostRoot root) : IDisposable
{
    private readonly bool _eachByItself = Directory.Exists(root.Sys("kernel/irq"));
    private InterruptTable? _table;
    private bool _tableIsRead;

    /// <summary>What was read so far.</summary>
    public ReadMeter Meter { get; } = new();

    /// <summary>The vectors of one function.</summary>
    /// <param name="address">dddd:bb:dd.f.</param>
    /// <exception cref="ArgumentException">It is no address.</exception>
    public FunctionVectors Open(string address) => new(this, root, address, !_eachByItself);

    /// <summary>Begins the next sample: what is read from now on is new.</summary>
    public void Next() => _tableIsRead = false;

    /// <inheritdoc />
    public void Dispose() => _table?.Dispose();

    internal ReadOnlySpan<VfioVectorCount> Table()
    {
        _table ??= new InterruptTable(root, Meter);
        if (!_tableIsRead)
            _table.Read();
        _tableIsRead = true;
        return _table.Counts;
    }
}
