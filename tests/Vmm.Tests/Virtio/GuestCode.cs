using System.Buffers.Binary;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>Instructions for guests that drive a device by hand: stores of constants, waits for memory to change, bytes to the serial port.</summary>
internal sealed class GuestCode
{
    private readonly List<byte> _bytes = [];

    public byte[] Bytes => [.. _bytes];

    /// <summary>mov byte, word, dword or (in halves) qword [address], value.</summary>
    public GuestCode Store(ulong address, int size, ulong value)
    {
        if (size == 8)
            return Store(address, 4, (uint)value).Store(address + 4, 4, value >> 32);
        At(address);
        byte[] prefix = size switch { 1 => [0xc6, 0x03], 2 => [0x66, 0xc7, 0x03], _ => [0xc7, 0x03] };
        _bytes.AddRange(prefix);
        var constant = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(constant, value);
        _bytes.AddRange(constant[..size]);
        return this;
    }

    /// <summary>Waits until a word is a small number: cmp word [address], value; jne.</summary>
    public GuestCode WaitWord(ulong address, byte value)
    {
        At(address);
        _bytes.AddRange([0x66, 0x83, 0x3b, value, 0x75, 0xfa]);
        return this;
    }

    /// <summary>Waits until one of the bits is set: test dword [address], bits; jz.</summary>
    public GuestCode WaitBits(ulong address, uint bits)
    {
        At(address);
        _bytes.AddRange([0xf7, 0x03, (byte)bits, (byte)(bits >> 8), (byte)(bits >> 16), (byte)(bits >> 24), 0x74, 0xf8]);
        return this;
    }

    /// <summary>Sends bytes of memory to the serial port.</summary>
    public GuestCode Print(ulong address, int count)
    {
        for (var i = 0; i < count; i++)
        {
            At(address + (ulong)i);
            _bytes.AddRange([0x8a, 0x03, 0xba, 0xf8, 0x03, 0, 0, 0xee]);
        }
        return this;
    }

    public GuestCode PowerOff()
    {
        _bytes.AddRange(TinyKernel.PowerOff);
        return this;
    }

    private void At(ulong address) => _bytes.AddRange([0xbb, (byte)address, (byte)(address >> 8), (byte)(address >> 16), (byte)(address >> 24)]);
}
