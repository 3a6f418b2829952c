using System.Buffers.Binary;
using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Disks;

namespace Exitless.Vmm.Virtio;

/// <summary>A disk for the guest (virtio 1.2, section 5.2). Data goes straight between the disk's file and guest memory.</summary>
internal sealed class VirtioBlock : VirtioDevice
{
    private const int SectorBytes = DiskOpening.SectorBytes, HeaderBytes = 16, RangeBytes = 16, IdBytes = 20;
    private const ulong SegmentsFeature = 1 << 2, ReadOnlyFeature = 1 << 5, BlockSizeFeature = 1 << 6, FlushFeature = 1 << 9, DiscardFeature = 1 << 13, ZeroFeature = 1 << 14;
    private const uint ReadKind = 0, WriteKind = 1, FlushKind = 4, IdKind = 8, DiscardKind = 11, ZeroKind = 13;
    private const byte Ok = 0, Failed = 1, Unsupported = 2;
    /// <summary>What one range may cover, in sectors: no request keeps the worker for long.</summary>
    private const uint MostDiscardSectors = 1 << 21, MostZeroSectors = 1 << 16;
    private const int MostRanges = 16;

    private readonly IDisk _disk;
    private readonly byte[] _configuration = new byte[60];
    private readonly byte[] _serial = new byte[IdBytes];
    private readonly IoVector[] _data = new IoVector[VectorIo.MostVectors];

    /// <param name="id">The disk's id.</param>
    /// <param name="serial">What the guest reads as its serial number.</param>
    /// <param name="disk">The disk, which goes over to the device.</param>
    public VirtioBlock(string id, string serial, IDisk disk)
        : base($"disk {id}", type: 2, classCode: 0x010000, SegmentsFeature | BlockSizeFeature | FlushFeature | (disk.IsReadOnly ? ReadOnlyFeature : DiscardFeature | ZeroFeature), queues: 1)
    {
        _disk = disk;
        Encoding.ASCII.GetBytes(serial, _serial);
        BinaryPrimitives.WriteInt64LittleEndian(_configuration, disk.Bytes / SectorBytes);
        Number(12, SplitQueue.MostEntries - 2);
        Number(20, SectorBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(_configuration.AsSpan(34), 1);
        Number(36, MostDiscardSectors);
        Number(40, MostRanges);
        Number(44, 4096 / SectorBytes);
        Number(48, MostZeroSectors);
        Number(52, MostRanges);
        _configuration[56] = 1;
    }

    public override int ConfigurationBytes => _configuration.Length;

    public override byte ReadConfiguration(int offset) => _configuration[offset];

    public override void Dispose()
    {
        base.Dispose();
        _disk.Dispose();
    }

    protected override void Stopped() => _disk.Flush();

    protected override bool Handle(int queue, SplitQueue requests)
    {
        var chain = requests.Chain;
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (Stretches.Read(chain.Readable, 0, header) < HeaderBytes || chain.WritableBytes == 0)
        {
            // Without room for a status there is no way to refuse it.
            Fail();
            return true;
        }
        var kind = BinaryPrimitives.ReadUInt32LittleEndian(header);
        var sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        uint written = 0;
        var status = kind switch
        {
            ReadKind => Read(chain, sector, out written),
            WriteKind => Write(chain, sector),
            FlushKind => Status(_disk.Flush()),
            IdKind => Identify(chain, out written),
            DiscardKind or ZeroKind => Ranges(chain, kind),
            _ => Unsupported,
        };
        Stretches.Write(chain.Writable, chain.WritableBytes - 1, [status]);
        requests.Give(written + 1);
        // One by one: the disk may keep the next request for long.
        Tell(queue);
        return true;
    }

    private static byte Status(int error) => error == 0 ? Ok : Failed;

    private void Number(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_configuration.AsSpan(offset), value);

    private byte Read(DescriptorChain chain, ulong sector, out uint written)
    {
        written = 0;
        var length = chain.WritableBytes - 1;
        if (!IsWithin(sector, length))
            return Failed;
        var count = Stretches.Cut(chain.Writable, 0, length, _data);
        if (length > 0 && _disk.Read(_data.AsSpan(0, count), (long)sector * SectorBytes) != 0)
            return Failed;
        written = (uint)length;
        return Ok;
    }

    private byte Write(DescriptorChain chain, ulong sector)
    {
        var length = chain.ReadableBytes - HeaderBytes;
        if (_disk.IsReadOnly || !IsWithin(sector, length))
            return Failed;
        var count = Stretches.Cut(chain.Readable, HeaderBytes, length, _data);
        if (length > 0 && _disk.Write(_data.AsSpan(0, count), (long)sector * SectorBytes) != 0)
            return Failed;
        // A driver that cannot flush takes every write for lasting (5.2.6.2).
        return (Features & FlushFeature) == 0 ? Status(_disk.Flush()) : Ok;
    }

    private byte Identify(DescriptorChain chain, out uint written)
    {
        written = (uint)Stretches.Write(chain.Writable, 0, _serial.AsSpan(0, (int)Math.Min(IdBytes, chain.WritableBytes - 1)));
        return Ok;
    }

    private byte Ranges(DescriptorChain chain, uint kind)
    {
        var bytes = chain.ReadableBytes - HeaderBytes;
        if (_disk.IsReadOnly)
            return Failed;
        if (bytes == 0 || bytes % RangeBytes != 0 || bytes > RangeBytes * MostRanges)
            return Failed;
        Span<byte> range = stackalloc byte[RangeBytes];
        for (ulong at = 0; at < bytes; at += RangeBytes)
        {
            Stretches.Read(chain.Readable, HeaderBytes + at, range);
            var sector = BinaryPrimitives.ReadUInt64LittleEndian(range);
            var sectors = BinaryPrimitives.ReadUInt32LittleEndian(range[8..]);
            var flags = BinaryPrimitives.ReadUInt32LittleEndian(range[12..]);
            if (flags > (kind == ZeroKind ? 1 : 0))
                return Unsupported;
            var length = (ulong)sectors * SectorBytes;
            if (sectors > (kind == ZeroKind ? MostZeroSectors : MostDiscardSectors) || !IsWithin(sector, length))
                return Failed;
            if (sectors == 0)
                continue;
            var offset = (long)sector * SectorBytes;
            if ((kind == ZeroKind ? _disk.Zero(offset, (long)length, flags != 0) : _disk.Discard(offset, (long)length)) != 0)
                return Failed;
        }
        return (Features & FlushFeature) == 0 ? Status(_disk.Flush()) : Ok;
    }

    private bool IsWithin(ulong sector, ulong length)
    {
        var sectors = (ulong)_disk.Bytes / SectorBytes;
        return length % SectorBytes == 0 && sector <= sectors && length / SectorBytes <= sectors - sector;
    }
}
