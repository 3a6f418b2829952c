using System.Buffers.Binary;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Devices;

/// <summary>
/// Memory accesses that no memslot takes: configuration space, and the trapped parts of BARs. Where nobody answers, reads give all ones
/// and writes are lost. Allocates nothing.
/// </summary>
internal sealed class MmioBus(PciBus pci)
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
        if (ecam >= MemoryMap.EcamSize)
            return pci.TryReadMemory(address, size, out var value) ? value : ulong.MaxValue;
        if (size < 8)
            return pci.ReadConfig((uint)ecam >> 12, (int)(ecam & 0xfff), size);
        return pci.ReadConfig((uint)ecam >> 12, (int)(ecam & 0xfff), 4) | (ulong)pci.ReadConfig((uint)(ecam + 4) >> 12, (int)(ecam + 4 & 0xfff), 4) << 32;
    }

    private void Write(ulong address, int size, ulong value)
    {
        var ecam = address - MemoryMap.Ecam;
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
