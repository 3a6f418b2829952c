using System.Runtime.InteropServices;

namespace Exitless.Linux.Interrupts;

/// <summary>
/// The MSI-X vectors of one PCI function that VFIO has requested, with their counts. Its interrupts are those in the function's <c>msi_irqs</c>
/// (Documentation/ABI/testing/sysfs-bus-pci), and each is read by itself, so that a sample costs what the function's own vectors cost and not what the host's do.
/// As long as the interrupts stay the same a reading allocates nothing.
/// </summary>
public sealed class FunctionVectors : IDisposable
{
    private const int Page = 4096;
    private readonly VfioInterrupts _host;
    private readonly HostRoot _root;
    private readonly NumberedFolder _interrupts;
    private readonly uint _function;
    private readonly List<InterruptLine> _lines = [];
    private readonly List<VfioVectorCount> _counts = [];
    private bool _fromTable;

    internal FunctionVectors(VfioInterrupts host, HostRoot root, string address, bool fromTable)
    {
        (_host, _root, _fromTable) = (host, root, fromTable);
        _function = VfioVectorName.PackAddress(address);
        _interrupts = new NumberedFolder(root.Sys($"bus/pci/devices/{address}/msi_irqs"));
    }

    /// <summary>The vectors as of the last <see cref="Read"/>, by index.</summary>
    public ReadOnlySpan<VfioVectorCount> Counts => CollectionsMarshal.AsSpan(_counts);

    /// <summary>Reads again.</summary>
    /// <exception cref="LinuxException">/proc/interrupts had to be read, and cannot be.</exception>
    public void Read()
    {
        if (!_fromTable)
        {
            if (!_interrupts.Read(_host.Meter, out var error))
                Follow();
            if (error == 0)
                ReadLines();
            else
                ReadFromTable();
        }
        _counts.Clear();
        if (_fromTable)
        {
            foreach (var vector in _host.Table())
            {
                if (vector.Function == _function)
                    _counts.Add(vector);
            }
        }
        foreach (var line in _lines)
        {
            if (line.IsRequested && line.Function == _function)
                _counts.Add(new VfioVectorCount(_function, line.Vector, line.Count));
        }
        _counts.Sort(static (a, b) => a.Vector.CompareTo(b.Vector));
    }

    /// <inheritdoc />
    public void Dispose()
    {
        _interrupts.Dispose();
        CloseLines();
    }

    // The interrupts are others than before.
    private void Follow()
    {
        for (var i = _lines.Count - 1; i >= 0; i--)
        {
            if (!_interrupts.Numbers.Contains(_lines[i].Number))
                Close(i);
        }
        foreach (var number in _interrupts.Numbers)
        {
            if (_lines.Exists(line => line.Number == number))
                continue;
            if (InterruptLine.TryOpen(_root, number, out var error) is { } line)
            {
                _lines.Add(line);
                continue;
            }
            // Gone in between: the next listing lacks it. Anything else, such as too few descriptors, will not pass.
            _interrupts.Forget();
            if (error is not Errno.NoEntry)
            {
                ReadFromTable();
                return;
            }
        }
    }

    private void ReadLines()
    {
        Span<byte> buffer = stackalloc byte[Page];
        for (var i = _lines.Count - 1; i >= 0; i--)
        {
            if (!_lines[i].Read(buffer, _host.Meter, out var isCut))
            {
                Close(i);
                _interrupts.Forget();   // its number may have been given again
            }
            else if (isCut)
            {
                ReadFromTable();
                return;
            }
        }
    }

    private void ReadFromTable()
    {
        _fromTable = true;
        CloseLines();
    }

    private void CloseLines()
    {
        for (var i = _lines.Count - 1; i >= 0; i--)
            Close(i);
    }

    private void Close(int index)
    {
        _lines[index].Dispose();
        _lines.RemoveAt(index);
    }
}
