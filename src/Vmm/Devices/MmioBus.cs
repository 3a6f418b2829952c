using System.Buffers.Binary;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Devices;

/// <summary>
/// Memory accesses that no memslot takes: configuration space, the IOAPIC where KVM does not have it, and the trapped parts of BARs. Where nobody answers, reads give all ones
/// and writes are lost. Allocates nothing.
/// </summary>
/// <param name="pci">The guest's bus.</param>
/// <param name="ioApic">The IOAPIC of a split irqchip; null: KVM has it.</param>
internal sealed class MmioBus(PciBus pci, IoApic? ioApic = null)
{
    public void Access(ulong address, bool isWrite, Span<byte> data)
    {
        if (data.Length is not (1 or 2 or 4 or 8))
        {
            if (!isWrite)
                data.Fill(byte.MaxValue);
            return;
        }
        if (isWrite)
            Write(address, data.Length, Get(data));
        else
            Put(data, Read(address, data.Length));
    }

    private ulong Read(ulong address, int size)
    {
        var ecam = address - MemoryMap.Ecam;
        if (ecam >= MemoryMap.EcamSize && ioApic is not null && address - MemoryMap.IoApic < IoApic.Size)
            return ioApic.Read(address - MemoryMap.IoApic, size);
        if (ecam >= MemoryMap.EcamSize)
            return pci.TryReadMemory(address, size, out var value) ? value : ulong.MaxValue;
        if (size < 8)
            return pci.ReadConfig((uint)ecam >> 12, (int)(ecam & 0xfff), size);
        return pci.ReadConfig((uint)ecam >> 12, (int)(ecam & 0xfff), 4) | (ulong)pci.ReadConfig((uint)(ecam + 4) >> 12, (int)(ecam + 4 & 0xfff), 4) << 32;
    }

    private void Write(ulong address, int size, ulong value)
    {
        var ecam = address - MemoryMap.Ecam;
        if (ecam >= MemoryMap.EcamSize && ioApic is not null && address - MemoryMap.IoApic < IoApic.Size)
        {
            ioApic.Write(address - MemoryMap.IoApic, size, (uint)value);
            return;
        }
        if (ecam >= MemoryMap.EcamSize)
        {
            pci.WriteMemory(address, size, value);
            return;
        }
        pci.WriteConfig((uint)ecam >> 12, (int)(ecam & 0xfff), Math.Min(size, 4), (uint)value);
        if (size == 8)
            pci.WriteConfig((uint)(ecam + 4) >> 12, (int)(ecam + 4 & 0xfff), 4, (uint)(value >> 32));
    }

    private static ulong Get(ReadOnlySpan<byte> data)
    {
        Span<byte> whole = stackalloc byte[8];
        whole.Clear();
        data.CopyTo(whole);
        return BinaryPrimitives.ReadUInt64LittleEndian(whole);
    }

    private static void Put(Span<byte> data, ulong value)
    {
        for (var i = 0; i < data.Length; i++)
            data[i] = (byte)(value >> (8 * i));
    }
}
