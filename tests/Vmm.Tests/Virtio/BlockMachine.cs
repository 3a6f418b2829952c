using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;
using Exitless.Vmm.Virtio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>A virtio disk with its driver: one request at a time, data at 0x200000.</summary>
internal sealed class BlockMachine : IDisposable
{
    public const ulong Header = 0x1000, Data = 0x20_0000, Status = 0x1800;

    public BlockMachine(SafeFileHandle file, bool isReadOnly = false, ulong features = ulong.MaxValue)
        : this(DiskOpening.Open(new DiskConfig { Id = "d", IsReadOnly = isReadOnly }, [file], "disks[0]"), features)
    {
    }

    public BlockMachine(IDisk disk, ulong features = ulong.MaxValue)
    {
        Bus = new ScriptedBus(new VirtioBlock("d", "serial-1", disk));
        Driver = new Driver(Bus, features);
    }

    public ScriptedBus Bus { get; }

    public Driver Driver { get; }

    /// <summary>Sends one request whose data lies in one piece.</summary>
    /// <returns>The status, and the count of bytes that the device says that it wrote.</returns>
    public (byte Status, uint Written) Ask(uint kind, ulong sector, uint bytes, bool toDevice)
    {
        WriteHeader(kind, sector);
        if (bytes == 0)
            Driver.Chain(0, 0, (Header, 16, false), (Status, 1, true));
        else
            Driver.Chain(0, 0, (Header, 16, false), (Data, bytes, !toDevice), (Status, 1, true));
        return Send();
    }

    public void WriteHeader(uint kind, ulong sector)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Driver.Memory(Header, 4), kind);
        BinaryPrimitives.WriteUInt64LittleEndian(Driver.Memory(Header + 8, 8), sector);
    }

    public (byte Status, uint Written) Send()
    {
        Driver.Memory(Status, 1)[0] = 0xee;
        Driver.Offer(0, 0);
        Bus.Serve();
        var (head, written) = Driver.Take(0);
        Assert.Equal(0u, head);
        return (Driver.Memory(Status, 1)[0], written);
    }

    public byte Write(ulong sector, ReadOnlySpan<byte> data)
    {
        data.CopyTo(Driver.Memory(Data, data.Length));
        return Ask(1, sector, (uint)data.Length, toDevice: true).Status;
    }

    public byte[] Read(ulong sector, int bytes)
    {
        Driver.Memory(Data, bytes).Fill(0xcc);
        Assert.Equal((0, (uint)bytes + 1), Ask(0, sector, (uint)bytes, toDevice: false));
        return Driver.Memory(Data, bytes).ToArray();
    }

    /// <summary>Discard (11) or write zeroes (13).</summary>
    public byte Range(uint kind, ulong sector, uint sectors, uint flags)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Driver.Memory(Data, 8), sector);
        BinaryPrimitives.WriteUInt32LittleEndian(Driver.Memory(Data + 8, 4), sectors);
        BinaryPrimitives.WriteUInt32LittleEndian(Driver.Memory(Data + 12, 4), flags);
        return Ask(kind, 0, 16, toDevice: true).Status;
    }

    public void Dispose() => Bus.Dispose();
}
