using System.Runtime.InteropServices;
using Exitless.Linux;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// The memory of one request: what the device reads, then what it writes (virtio 1.2, section 2.7.5). Each descriptor is read once, since the
/// guest may change it at any time; every address, length and index is checked before use; a chain that goes round in a circle ends at the
/// longest that is allowed. The stretches are kept in memory of the chain's own, so that a request allocates nothing.
/// </summary>
internal sealed unsafe class DescriptorChain(int longest) : IDisposable
{
    private const int EntryBytes = 16;
    private const ushort NextFlag = 1, WriteFlag = 2, IndirectFlag = 4;
    /// <summary>RAM may be made of several ranges, and a buffer may lie across their borders.</summary>
    private const int ExtraStretches = 64;

    private readonly int _room = longest + ExtraStretches;
    private IoVector* _stretches = (IoVector*)NativeMemory.Alloc((nuint)(longest + ExtraStretches), (nuint)sizeof(IoVector));
    private int _readable;
    private int _writable;

    /// <summary>What the guest has put there for the device.</summary>
    public ReadOnlySpan<IoVector> Readable => new(_stretches, _readable);

    /// <summary>What the device shall fill.</summary>
    public ReadOnlySpan<IoVector> Writable => new(_stretches + _readable, _writable);

    /// <summary>Bytes of <see cref="Readable"/>.</summary>
    public ulong ReadableBytes { get; private set; }

    /// <summary>Bytes of <see cref="Writable"/>.</summary>
    public ulong WritableBytes { get; private set; }

    /// <summary>Follows a chain.</summary>
    /// <param name="ram">Guest memory.</param>
    /// <param name="table">The queue's descriptor table.</param>
    /// <param name="entries">How many descriptors it has.</param>
    /// <param name="head">The first descriptor; checked here.</param>
    /// <param name="indirect">True if the driver may use indirect tables.</param>
    /// <returns>False if the chain breaks a rule.</returns>
    public bool TryFollow(GuestRam ram, byte* table, uint entries, uint head, bool indirect)
    {
        Clear();
        var index = head;
        var inTable = false;
        for (var steps = 0; steps <= longest; steps++)
        {
            if (index >= entries)
                return false;
            var address = *(ulong*)(table + (index * EntryBytes));
            var rest = *(ulong*)(table + (index * EntryBytes) + 8);
            var length = (uint)rest;
            var flags = (ushort)(rest >> 32);
            if ((flags & IndirectFlag) != 0)
            {
                entries = length / EntryBytes;
                if (!indirect || inTable || (flags & NextFlag) != 0 || length == 0 || length % EntryBytes != 0 || entries > longest)
                    return false;
                table = ram.FindWhole(address, length);
                if (table is null)
                    return false;
                (inTable, index) = (true, 0);
                continue;
            }
            if (!Add(ram, address, length, (flags & WriteFlag) != 0))
                return false;
            if ((flags & NextFlag) == 0)
                return true;
            index = (ushort)(rest >> 48);
        }
        return false;
    }

    public void Clear()
    {
        _readable = _writable = 0;
        ReadableBytes = WritableBytes = 0;
    }

    public void Dispose()
    {
        Clear();
        NativeMemory.Free(_stretches);
        _stretches = null;
    }

    private bool Add(GuestRam ram, ulong address, uint length, bool isWritable)
    {
        // What the device reads comes before what it writes (2.7.4.2).
        if (!isWritable && _writable > 0)
            return false;
        for (ulong left = length; left > 0;)
        {
            var start = ram.Find(address, out var contiguous);
            if (start is null || _readable + _writable == _room)
                return false;
            var take = Math.Min(left, contiguous);
            _stretches[_readable + _writable] = new IoVector(start, (nuint)take);
            if (isWritable)
                _writable++;
            else
                _readable++;
            address += take;
            left -= take;
        }
        if (isWritable)
            WritableBytes += length;
        else
            ReadableBytes += length;
        // 2.7.5.1: a chain has at most 2^32 bytes; a little less keeps every count in an int of the device.
        return ReadableBytes + WritableBytes <= int.MaxValue;
    }
}
