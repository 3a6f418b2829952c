using System.Globalization;
using System.Text;

namespace Exitless.Benchmarks;

/// <summary>
/// A host's interrupts as files, in the form of the kernel's: /sys/kernel/irq/‹n› (kernel/irq/irqdesc.c), a function's <c>msi_irqs</c>, and, when asked for,
/// /proc/interrupts (kernel/irq/proc.c). Composed from the kernel's documents, not recorded from a machine.
/// </summary>
/// <param name="folder">What stands for "/".</param>
/// <param name="cpus">CPUs that the kernel may have.</param>
internal sealed class RecordedInterrupts(string folder, int cpus)
{
    private readonly SortedDictionary<int, (string Name, long Count)> _lines = [];
    private readonly Dictionary<(string Address, int Vector), int> _numbers = [];

    /// <summary>Gives a function's vector the next interrupt; nobody has requested it yet.</summary>
    public int Allocate(string address, int vector)
    {
        var number = Add("", 0);
        _numbers[(address, vector)] = number;
        Write($"sys/bus/pci/devices/{address}/msi_irqs/{number}", "msix\n");
        return number;
    }

    /// <summary>VFIO requests it, and it counts.</summary>
    public void Request(string address, int vector, long count)
    {
        var number = _numbers[(address, vector)];
        Set(number, $"vfio-msix[{vector}]({address})", count);
    }

    /// <summary>VFIO gives it back; it stays allocated.</summary>
    public void Release(string address, int vector)
    {
        var number = _numbers[(address, vector)];
        Set(number, "", _lines[number].Count);
    }

    /// <summary>It is freed.</summary>
    public void Free(string address, int vector)
    {
        if (!_numbers.Remove((address, vector), out var number))
            return;
        _lines.Remove(number);
        File.Delete(Path.Combine(folder, $"sys/bus/pci/devices/{address}/msi_irqs/{number}"));
        Directory.Delete(Path.Combine(folder, $"sys/kernel/irq/{number}"), recursive: true);
    }

    /// <summary>Fills the host up with interrupts of somebody else.</summary>
    public void FillTo(int interrupts)
    {
        while (_lines.Count < interrupts)
            Add("nvme0q" + _lines.Count.ToString(CultureInfo.InvariantCulture), 123_456);
    }

    /// <summary>Writes all of them as /proc/interrupts.</summary>
    public void WriteTable()
    {
        var text = new StringBuilder("     ");
        for (var cpu = 0; cpu < cpus; cpu++)
            text.Append(CultureInfo.InvariantCulture, $"CPU{cpu,-8}");
        text.Append('\n');
        foreach (var (number, (name, count)) in _lines)
        {
            text.Append(CultureInfo.InvariantCulture, $"{number,4}:");
            for (var cpu = 0; cpu < cpus; cpu++)
                text.Append(CultureInfo.InvariantCulture, $" {On(cpu, number, count),10}");
            text.Append(CultureInfo.InvariantCulture, $"  IR-PCI-MSIX-0000:00:00.0    0-edge      {name}\n");
        }
        Write("proc/interrupts", text.ToString());
    }

    private int Add(string name, long count)
    {
        var number = 24 + _lines.Count;   // a PC's first 24 are its I/O APIC's
        while (_lines.ContainsKey(number))
            number++;
        Set(number, name, count);
        return number;
    }

    private void Set(int number, string name, long count)
    {
        _lines[number] = (name, count);
        Write($"sys/kernel/irq/{number}/actions", name.Length == 0 ? "" : name + "\n");
        Write($"sys/kernel/irq/{number}/per_cpu_count", string.Join(',', Enumerable.Range(0, cpus).Select(cpu => On(cpu, number, count))) + "\n");
    }

    // One CPU takes an interrupt, as the kernel gives it out; the kernel counts in 32 bits.
    private uint On(int cpu, int number, long count) => cpu == number % cpus ? (uint)count : 0;

    // In place: who holds the file open reads what is new, as of the kernel's.
    private void Write(string path, string text)
    {
        var full = Path.Combine(folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        using var file = new FileStream(full, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        file.Write(Encoding.ASCII.GetBytes(text));
        file.SetLength(file.Position);
    }
}
