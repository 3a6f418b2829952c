namespace Exitless.Vmm.Pci;

/// <summary>Bus 0: the host bridge in slot 0, one single-function device in each other slot.</summary>
internal sealed class PciBus
{
    public const int Slots = 32;

    private readonly IPciFunction?[] _slots = new IPciFunction?[Slots];

    public PciBus() => _slots[0] = new HostBridge();

    /// <summary>Puts a function into the first free slot.</summary>
    public int Add(IPciFunction function)
    {
        var slot = Array.IndexOf(_slots, null);
        if (slot < 0)
            throw new InvalidOperationException($"The bus has {Slots} slots and all are taken.");
        _slots[slot] = function;
        return slot;
    }

    /// <param name="address">Bus, device and function as in ECAM: bits 15-8, 7-3 and 2-0.</param>
    /// <param name="offset">Register.</param>
    /// <param name="size">Bytes: 1, 2 or 4.</param>
    public uint ReadConfig(uint address, int offset, int size) =>
        (offset & 3) + size <= 4 && Find(address) is { } function ? function.ReadConfig(offset, size) : uint.MaxValue;

    /// <inheritdoc cref="ReadConfig" />
    public void WriteConfig(uint address, int offset, int size, uint value)
    {
        if ((offset & 3) + size <= 4)
            Find(address)?.WriteConfig(offset, size, value);
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        foreach (var function in _slots)
        {
            if (function is not null && function.TryReadMemory(address, size, out value))
                return true;
        }
        value = 0;
        return false;
    }

    public void WriteMemory(ulong address, int size, ulong value)
    {
        foreach (var function in _slots)
        {
            if (function is not null && function.TryWriteMemory(address, size, value))
                return;
        }
    }

    private IPciFunction? Find(uint address) => (address & ~0xf8u) == 0 ? _slots[address >> 3] : null;
}
