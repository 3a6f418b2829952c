using System.Buffers.Binary;

namespace Exitless.Vmm.Devices;

/// <summary>Port I/O: who answers at which port. Where nobody does, reads give all ones and writes are lost. Allocates nothing once built.</summary>
internal sealed class PortBus
{
    private readonly List<(ushort First, int Count, IPortDevice Device)> _devices = [];

    public void Add(ushort first, int count, IPortDevice device) => _devices.Add((first, count, device));

    /// <summary>Serves one exit: <paramref name="data"/> holds one or, for string instructions, many items.</summary>
    public void Access(ushort port, int size, bool isWrite, Span<byte> data)
    {
        if (size is not (1 or 2 or 4))
            return;
        var device = Find(port, out var offset);
        for (; data.Length >= size; data = data[size..])
        {
            if (isWrite)
                device?.WritePort(offset, size, size switch { 1 => data[0], 2 => BinaryPrimitives.ReadUInt16LittleEndian(data), _ => BinaryPrimitives.ReadUInt32LittleEndian(data) });
            else
                Put(data, size, device?.ReadPort(offset, size) ?? uint.MaxValue);
        }
    }

    private static void Put(Span<byte> data, int size, uint value)
    {
        for (var i = 0; i < size; i++)
            data[i] = (byte)(value >> (8 * i));
    }

    private IPortDevice? Find(ushort port, out int offset)
    {
        foreach (var (first, count, device) in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_devices))
        {
            offset = port - first;
            if ((uint)offset < (uint)count)
                return device;
        }
        offset = 0;
        return null;
    }
}
