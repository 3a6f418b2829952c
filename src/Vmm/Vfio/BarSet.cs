using System.Buffers.Binary;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>All BARs of a device: which answer, where, and what lies at an address. Allocates nothing once made, but for a ROM that the guest reads.</summary>
internal sealed class BarSet(IVfioDevice device, ConfigSpace view, IReadOnlyList<AssignedBar> bars) : IDisposable
{
    public const uint IoEnable = 1, MemoryEnable = 2;

    // An array: over an interface, foreach would allocate an enumerator on each trapped access.
    private readonly AssignedBar[] _bars = [.. bars];
    private byte[]? _rom;

    /// <summary>Bytes that the guest reaches without an exit.</summary>
    public ulong MappedBytes => (ulong)_bars.Sum(b => (long)b.MappedBytes);

    /// <summary>True for the registers of BARs and ROM.</summary>
    public static bool IsRegister(int offset) => offset is (>= 0x10 and < 0x28) or (>= 0x30 and < 0x34);

    /// <summary>Takes the BARs away that do not answer with these bits of COMMAND.</summary>
    public void Withdraw(uint command)
    {
        foreach (var bar in _bars)
        {
            if (!IsOn(bar, command))
                bar.Unmap();
        }
    }

    /// <summary>Puts every BAR that answers where its register says. All leave their old places before any takes a new one: two may swap.</summary>
    public void Place(uint command)
    {
        foreach (var bar in _bars)
        {
            if (!IsOn(bar, command) || bar.Address != Address(bar))
                bar.Unmap();
        }
        foreach (var bar in _bars)
        {
            if (IsOn(bar, command) && !bar.Decodes)
                bar.Map(Address(bar));
        }
    }

    /// <summary>The guest has moved a BAR: what another left may be free for a third.</summary>
    public void Move(uint command)
    {
        Withdraw(0);
        Place(command);
    }

    /// <summary>As after a reset: no BAR has an address.</summary>
    public void Reset()
    {
        Withdraw(0);
        foreach (var bar in _bars)
        {
            view.Set(bar.Description.Register, bar.Description.AddressMask | (bar.Description.IsRom ? 1u : 0), 0);
            if (bar.Description.Is64Bit)
                view.Set(bar.Description.Register + 4, uint.MaxValue, 0);
        }
    }

    /// <summary>The memory BAR or ROM at an address.</summary>
    public AssignedBar? FindMemory(ulong address, int size)
    {
        foreach (var bar in _bars)
        {
            if (!bar.Description.IsIo && bar.Contains(address, size))
                return bar;
        }
        return null;
    }

    /// <summary>The I/O BAR at a port.</summary>
    public AssignedBar? FindPort(ushort port, int size)
    {
        foreach (var bar in _bars)
        {
            if (bar.Description.IsIo && bar.Contains(port, size))
                return bar;
        }
        return null;
    }

    /// <summary>Reads from the device. Behind the end of a BAR that is smaller than its page nobody answers.</summary>
    public ulong Read(AssignedBar bar, ulong offset, int size)
    {
        if (offset + (ulong)size > bar.Region.Size)
            return ulong.MaxValue;
        Span<byte> data = stackalloc byte[8];
        data.Clear();
        if (bar.Description.IsRom)
            Rom(bar).AsSpan((int)offset, size).CopyTo(data);
        else
            device.Read(bar.Region, offset, data[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    /// <summary>Writes to the device.</summary>
    public void Write(AssignedBar bar, ulong offset, int size, ulong value)
    {
        if (bar.Description.IsRom || offset + (ulong)size > bar.Region.Size)
            return;
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        device.Write(bar.Region, offset, data[..size]);
    }

    /// <summary>Ends all mappings, in the reverse order of their making.</summary>
    public void Dispose()
    {
        foreach (var bar in _bars.Reverse())
            bar.Dispose();
    }

    /// <summary>The ROM's bytes, read once: the kernel maps and unmaps the whole ROM for each read, which a guest that reads it byte by byte would make it do a million times.</summary>
    private byte[] Rom(AssignedBar bar)
    {
        if (_rom is not null)
            return _rom;
        var bytes = new byte[bar.Region.Size];
        device.Read(bar.Region, 0, bytes);
        return _rom = bytes;
    }

    private ulong Address(AssignedBar bar)
    {
        var register = bar.Description.Register;
        return (view.Value(register) & bar.Description.AddressMask) | (bar.Description.Is64Bit ? (ulong)view.Value(register + 4) << 32 : 0);
    }

    private bool IsOn(AssignedBar bar, uint command)
    {
        if (bar.Description.IsIo)
            return (command & IoEnable) != 0;
        return (command & MemoryEnable) != 0 && (!bar.Description.IsRom || (view.Value(bar.Description.Register) & 1) != 0);
    }
}
