using System.Buffers.Binary;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>A driver as virtio 1.2 has it, in a guest of 4 MiB: negotiates, lays out rings, offers chains, takes what is used.</summary>
internal sealed class Driver
{
    public const ulong Version1 = 1UL << 32, EventIndex = 1UL << 29, Indirect = 1UL << 28;
    public const ushort Next = 1, WriteFlag = 2, IndirectFlag = 4;
    public const int Entries = 64;
    private const ulong FirstRing = 0x10_0000, RingStep = 0x1_0000;

    private readonly ScriptedBus _bus;
    private readonly ushort[] _available;
    private readonly ushort[] _taken;

    public Driver(ScriptedBus bus, ulong features = ulong.MaxValue, int entries = Entries)
    {
        _bus = bus;
        var queues = bus.Device.Queues.Length;
        _available = new ushort[queues];
        _taken = new ushort[queues];
        Size = entries;
        bus.Function.WriteConfig(4, 2, 6);
        Status = 0;
        Status = 1;
        Status = 3;
        Chosen = (Offered & features) | Version1;
        Status = 0xb;
        for (var i = 0; i < queues; i++)
            SetUp(i);
        Status = 0xf;
    }

    public int Size { get; }

    public byte Status
    {
        get => (byte)_bus.Read(0x14, 1);
        set => _bus.Write(0x14, 1, value);
    }

    public bool NeedsReset => (Status & 0x40) != 0;

    public ulong Offered
    {
        get
        {
            _bus.Write(0, 4, 0);
            var low = _bus.Read(4, 4);
            _bus.Write(0, 4, 1);
            return low | _bus.Read(4, 4) << 32;
        }
    }

    public ulong Chosen
    {
        set
        {
            _bus.Write(8, 4, 0);
            _bus.Write(12, 4, (uint)value);
            _bus.Write(8, 4, 1);
            _bus.Write(12, 4, value >> 32);
        }
    }

    public static ulong Table(int queue) => FirstRing + ((ulong)queue * RingStep);

    public static ulong Available(int queue) => Table(queue) + 0x2000;

    public static ulong Used(int queue) => Table(queue) + 0x3000;

    /// <summary>Lets the device signal a vector for each queue and one for the configuration.</summary>
    public void UseMsix()
    {
        _bus.Function.WriteConfig(0x42, 2, 0x8000);
        for (var i = 0; i <= _bus.Device.Queues.Length; i++)
        {
            _bus.Write(0x4000 + (i * 16), 4, 0xfee0_0000);
            _bus.Write(0x4008 + (i * 16), 4, (ulong)(0x40 + i));
            _bus.Write(0x400c + (i * 16), 4, 0);
        }
        _bus.Write(0x10, 2, 0);
        for (var i = 0; i < _bus.Device.Queues.Length; i++)
        {
            _bus.Write(0x16, 2, (ulong)i);
            _bus.Write(0x1a, 2, (ulong)(i + 1));
        }
    }

    public void Descriptor(int queue, int index, ulong address, uint length, int flags, int next = 0) => Entry(Table(queue) + (ulong)(index * 16), address, length, flags, next);

    public void Entry(ulong at, ulong address, uint length, int flags, int next = 0)
    {
        var entry = _bus.Memory.Slice(at, 16);
        BinaryPrimitives.WriteUInt64LittleEndian(entry, address);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], (ushort)flags);
        BinaryPrimitives.WriteUInt16LittleEndian(entry[14..], (ushort)next);
    }

    /// <summary>Makes a chain of descriptors from an index on; what is written by the device comes last.</summary>
    public void Chain(int queue, int first, params (ulong Address, uint Length, bool Writable)[] parts)
    {
        for (var i = 0; i < parts.Length; i++)
            Descriptor(queue, first + i, parts[i].Address, parts[i].Length, (parts[i].Writable ? WriteFlag : 0) | (i + 1 < parts.Length ? Next : 0), first + i + 1);
    }

    /// <summary>Makes a chain available and notifies.</summary>
    public void Offer(int queue, int head, bool notify = true)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bus.Memory.Slice(Available(queue) + 4 + ((ulong)(_available[queue] % Size) * 2), 2), (ushort)head);
        BinaryPrimitives.WriteUInt16LittleEndian(_bus.Memory.Slice(Available(queue) + 2, 2), ++_available[queue]);
        if (notify)
            Notify(queue);
    }

    public void Notify(int queue) => _bus.Write(0x3000 + (queue * 4), 2, (ulong)queue);

    public int UsedCount(int queue) => (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(_bus.Memory.Slice(Used(queue) + 2, 2)) - _taken[queue]);

    /// <summary>The next used entry.</summary>
    public (uint Head, uint Written) Take(int queue)
    {
        Assert.True(UsedCount(queue) > 0, "Nothing was used.");
        var entry = _bus.Memory.Slice(Used(queue) + 4 + ((ulong)(_taken[queue]++ % Size) * 8), 8);
        return (BinaryPrimitives.ReadUInt32LittleEndian(entry), BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]));
    }

    public Span<byte> Memory(ulong address, int length) => _bus.Memory.Slice(address, length);

    private void SetUp(int queue)
    {
        _bus.Write(0x16, 2, (ulong)queue);
        _bus.Write(0x18, 2, (ulong)Size);
        _bus.Write(0x20, 8, Table(queue));
        _bus.Write(0x28, 8, Available(queue));
        _bus.Write(0x30, 8, Used(queue));
        _bus.Write(0x1c, 2, 1);
    }
}
