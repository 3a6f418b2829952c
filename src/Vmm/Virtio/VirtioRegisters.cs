namespace Exitless.Vmm.Virtio;

/// <summary>
/// The common configuration structure of a device on PCI (virtio 1.2, section 4.1.4.3): feature negotiation, status, and where the queues are.
/// The caller holds the function's lock. An access of a width that a field does not have reads as zero or is lost.
/// </summary>
internal sealed class VirtioRegisters(VirtioDevice device, GuestRam ram, VirtioInterrupts interrupts)
{
    public const int Bytes = 0x38;

    private const byte FeaturesOk = 8, DriverOk = 4, NeedsReset = 0x40, Failed = 0x80, Acknowledged = 3;
    private const ulong Version1 = 1UL << 32;
    private readonly Queue[] _queues = Fresh(device.Queues.Length);
    private uint _offeredSelect, _chosenSelect;
    private ulong _chosen;
    private byte _status;
    private ushort _select;

    public uint Read(int offset, int size) => (offset, size) switch
    {
        (0x00, 4) => _offeredSelect,
        (0x04, 4) => Half(device.Offered, _offeredSelect),
        (0x08, 4) => _chosenSelect,
        (0x0c, 4) => Half(_chosen, _chosenSelect),
        (0x10, 2) => interrupts.ConfigurationVector,
        (0x12, 2) => (uint)_queues.Length,
        (0x14, 1) => (uint)(_status | (device.NeedsReset ? NeedsReset : 0)),
        (0x16, 2) => _select,
        (0x18, 2) => Selected ? _queues[_select].Size : 0u,
        (0x1a, 2) => Selected ? interrupts.QueueVector(_select) : VirtioInterrupts.NoVector,
        (0x1c, 2) => Selected && _queues[_select].Enabled ? 1u : 0,
        (0x1e, 2) => Selected ? _select : 0u,
        ( >= 0x20 and < 0x38, 4) when Selected && offset % 4 == 0 => (uint)(_queues[_select].Address(offset) >> (offset % 8 * 8)),
        _ => 0,
    };

    public void Write(int offset, int size, uint value)
    {
        switch (offset, size)
        {
            case (0x00, 4):
                _offeredSelect = value;
                break;
            case (0x08, 4):
                _chosenSelect = value;
                break;
            case (0x0c, 4) when _chosenSelect < 2 && (_status & FeaturesOk) == 0:
                _chosen = _chosenSelect == 0 ? (_chosen & ~(ulong)uint.MaxValue) | value : (uint)_chosen | (ulong)value << 32;
                break;
            case (0x10, 2):
                interrupts.ConfigurationVector = (ushort)value;
                break;
            case (0x14, 1):
                WriteStatus((byte)value);
                break;
            case (0x16, 2):
                _select = (ushort)value;
                break;
            case (0x1a, 2) when Selected:
                interrupts.SetQueueVector(_select, (ushort)value);
                break;
            // A queue that is enabled keeps its place until the device is reset (4.1.4.3.2).
            case ( >= 0x18 and < 0x38, _) when Selected && !_queues[_select].Enabled:
                _queues[_select].Write(offset, size, value);
                break;
        }
    }

    /// <summary>As a reset leaves it.</summary>
    public void Reset()
    {
        device.Reset();
        interrupts.Reset();
        (_status, _chosen, _select, _offeredSelect, _chosenSelect) = (0, 0, 0, 0, 0);
        foreach (ref var queue in _queues.AsSpan())
            queue = new Queue { Size = SplitQueue.MostEntries };
    }

    private bool Selected => _select < _queues.Length;

    private static Queue[] Fresh(int count)
    {
        var queues = new Queue[count];
        Array.Fill(queues, new Queue { Size = SplitQueue.MostEntries });
        return queues;
    }

    private static uint Half(ulong bits, uint select) => select switch { 0 => (uint)bits, 1 => (uint)(bits >> 32), _ => 0 };

    private void WriteStatus(byte value)
    {
        if (value == 0)
        {
            Reset();
            return;
        }
        var set = value & ~_status;
        // Bits are only ever added; the device takes FEATURES_OK back if it cannot live with the choice (2.2.2).
        _status |= (byte)(value & (Acknowledged | DriverOk | Failed));
        if ((set & FeaturesOk) != 0 && (_chosen & ~device.Offered) == 0 && (_chosen & Version1) != 0)
            _status |= FeaturesOk;
        if ((set & DriverOk) == 0)
            return;
        if ((_status & FeaturesOk) == 0)
        {
            device.Fail();
            return;
        }
        Span<QueueSetup> setups = stackalloc QueueSetup[_queues.Length];
        for (var i = 0; i < _queues.Length; i++)
            setups[i] = _queues[i].Setup;
        device.Start(ram, _chosen, setups);
    }

    private struct Queue
    {
        public ushort Size;
        public bool Enabled;
        private ulong _table, _available, _used;

        public readonly QueueSetup Setup => Enabled ? new QueueSetup(Size, _table, _available, _used) : default;

        public readonly ulong Address(int offset) => offset switch { < 0x28 => _table, < 0x30 => _available, _ => _used };

        public void Write(int offset, int size, uint value)
        {
            switch (offset, size)
            {
                case (0x18, 2) when value is > 0 and <= SplitQueue.MostEntries:
                    Size = (ushort)value;
                    break;
                case (0x1c, 2) when value == 1:
                    Enabled = true;
                    break;
                case (0x20 or 0x24, 4):
                    SetHalf(ref _table, offset, value);
                    break;
                case (0x28 or 0x2c, 4):
                    SetHalf(ref _available, offset, value);
                    break;
                case (0x30 or 0x34, 4):
                    SetHalf(ref _used, offset, value);
                    break;
            }
        }

        private static void SetHalf(ref ulong address, int offset, uint value) =>
            address = offset % 8 == 0 ? (address & ~(ulong)uint.MaxValue) | value : (uint)address | (ulong)value << 32;
    }
}
