namespace Exitless.Vmm.Pci;

/// <summary>
/// Bus 0: the host bridge in slot 0, up to eight functions in each other slot. Functions come and go while vCPUs access the bus: they see a slot as it was before or
/// after. Allocates nothing on an access.
/// </summary>
internal sealed class PciBus
{
    public const int Slots = 32, Functions = 8;
    private const int HeaderTypeRegister = 0x0c;
    private const uint MultiFunctionBit = 0x0080_0000;

    private readonly Lock _gate = new();
    private readonly IPciFunction?[] _functions = new IPciFunction?[Slots * Functions];
    // What is there, replaced as a whole.
    private IPciFunction[] _present = [];
    private uint _multiFunction;

    public PciBus() => Set(0, 0, new HostBridge());

    /// <summary>Puts a function into the first free slot.</summary>
    public int Add(IPciFunction function)
    {
        lock (_gate)
        {
            var slot = FindFree();
            if (slot < 0)
                throw new InvalidOperationException($"The bus has {Slots} slots and all are taken.");
            Set(slot, 0, function);
            return slot;
        }
    }

    /// <summary>The first slot without a function; -1 if there is none.</summary>
    public int FindFree()
    {
        lock (_gate)
        {
            for (var slot = 0; slot < Slots; slot++)
            {
                if (!_functions.AsSpan(slot * Functions, Functions).ContainsAnyExcept((IPciFunction?)null))
                    return slot;
            }
            return -1;
        }
    }

    /// <summary>Puts a function into a slot; function 0 last, for without it the guest does not look for the others.</summary>
    public void Set(int slot, int function, IPciFunction device)
    {
        lock (_gate)
        {
            if (function != 0)
                Volatile.Write(ref _multiFunction, _multiFunction | 1u << slot);
            Volatile.Write(ref _functions[(slot * Functions) + function], device);
            Refresh();
        }
    }

    /// <summary>Takes all functions of a slot away.</summary>
    public void Clear(int slot)
    {
        lock (_gate)
        {
            _functions.AsSpan(slot * Functions, Functions).Clear();
            Volatile.Write(ref _multiFunction, _multiFunction & ~(1u << slot));
            Refresh();
        }
    }

    /// <param name="address">Bus, device and function as in ECAM: bits 15-8, 7-3 and 2-0.</param>
    /// <param name="offset">Register.</param>
    /// <param name="size">Bytes: 1, 2 or 4.</param>
    public uint ReadConfig(uint address, int offset, int size)
    {
        if ((offset & 3) + size > 4 || Find(address) is not { } function)
            return uint.MaxValue;
        var value = function.ReadConfig(offset, size);
        if ((offset & ~3) == HeaderTypeRegister && (_multiFunction & 1u << (int)(address >> 3)) != 0)
            value |= MultiFunctionBit >> (8 * (offset & 3)) & ConfigSpace.Lanes(0, size);
        return value;
    }

    /// <inheritdoc cref="ReadConfig" />
    public void WriteConfig(uint address, int offset, int size, uint value)
    {
        if ((offset & 3) + size <= 4)
            Find(address)?.WriteConfig(offset, size, value);
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        foreach (var function in Volatile.Read(ref _present))
        {
            if (function.TryReadMemory(address, size, out value))
                return true;
        }
        value = 0;
        return false;
    }

    public void WriteMemory(ulong address, int size, ulong value)
    {
        foreach (var function in Volatile.Read(ref _present))
        {
            if (function.TryWriteMemory(address, size, value))
                return;
        }
    }

    public uint ReadPort(ushort port, int size)
    {
        foreach (var function in Volatile.Read(ref _present))
        {
            if (function.TryReadPort(port, size, out var value))
                return value;
        }
        return uint.MaxValue;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        foreach (var function in Volatile.Read(ref _present))
        {
            if (function.TryWritePort(port, size, value))
                return;
        }
    }

    /// <summary>Resets all functions at once, while all vCPUs wait: that of a device may take long.</summary>
    public void Reset()
    {
        var threads = Volatile.Read(ref _present).Select(f => new Thread(f.Reset) { IsBackground = true, Name = "reset device" }).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
    }

    private void Refresh() => Volatile.Write(ref _present, [.. _functions.OfType<IPciFunction>()]);

    private IPciFunction? Find(uint address) => address < Slots * Functions ? Volatile.Read(ref _functions[address]) : null;
}
