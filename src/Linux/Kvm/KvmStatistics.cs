using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Exitless.Linux;

/// <summary>How a statistic behaves (KVM_STATS_TYPE_*).</summary>
public enum KvmStatisticKind
{
    /// <summary>Only rises.</summary>
    Cumulative = 0,
    /// <summary>Goes up and down.</summary>
    Instant = 1,
    /// <summary>The highest value so far.</summary>
    Peak = 2,
    /// <summary>Counts by value, buckets of equal width.</summary>
    LinearHistogram = 3,
    /// <summary>Counts by value, buckets that double.</summary>
    LogHistogram = 4,
}

/// <summary>What a statistic counts (KVM_STATS_UNIT_*).</summary>
public enum KvmStatisticUnit
{
    /// <summary>Events.</summary>
    None = 0,
    /// <summary>Bytes.</summary>
    Bytes = 1,
    /// <summary>Seconds, scaled by the exponent.</summary>
    Seconds = 2,
    /// <summary>Cycles of the time stamp counter.</summary>
    Cycles = 3,
    /// <summary>0 or 1.</summary>
    Boolean = 4,
}

/// <summary>One statistic of KVM.</summary>
/// <param name="Name">KVM's own name, such as <c>exits</c>.</param>
/// <param name="Kind">How it behaves.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Base">2 or 10: a value is to be multiplied by <paramref name="Base"/> to the power of <paramref name="Exponent"/>.</param>
/// <param name="Exponent">See <paramref name="Base"/>; -9 with seconds are nanoseconds.</param>
/// <param name="Index">Where its first value is in what <see cref="KvmStatistics.Read"/> gives.</param>
/// <param name="Count">How many values it has: 1, or a histogram's buckets.</param>
/// <param name="BucketSize">Width of a linear histogram's buckets; 0 otherwise.</param>
public sealed record KvmStatistic(string Name, KvmStatisticKind Kind, KvmStatisticUnit Unit, int Base, int Exponent, int Index, int Count, int BucketSize);

/// <summary>
/// KVM's binary statistics of one VM or one vCPU, by name (KVM_GET_STATS_FD, Documentation/virt/kvm/api.rst). The descriptor may come from
/// another process; reading it disturbs no vCPU.
/// </summary>
public sealed class KvmStatistics
{
    private const int HeaderBytes = 24, DescriptorBytes = 16;
    private readonly SafeHandle _file;
    private readonly int[] _offsets;
    private readonly long _dataOffset;
    private readonly byte[] _data;

    private KvmStatistics(SafeHandle file, string id, KvmStatistic[] items, int[] offsets, long dataOffset, int dataBytes, int valueCount)
    {
        _file = file;
        _offsets = offsets;
        _dataOffset = dataOffset;
        _data = new byte[dataBytes];
        Id = id;
        Items = items;
        ValueCount = valueCount;
    }

    /// <summary>KVM's name of the whole, such as <c>kvm-1234</c> or <c>kvm-1234/vcpu-0</c>.</summary>
    public string Id { get; }

    /// <summary>The statistics, in KVM's order.</summary>
    public IReadOnlyList<KvmStatistic> Items { get; }

    /// <summary>How many values <see cref="Read"/> gives.</summary>
    public int ValueCount { get; }

    /// <summary>Reads the header and the descriptions, which never change while the descriptor is open.</summary>
    /// <param name="file">The descriptor; it stays the caller's.</param>
    /// <exception cref="InvalidDataException">It is not a descriptor of KVM's statistics.</exception>
    public static KvmStatistics Open(SafeHandle file)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        Fill(file, header, 0);
        var nameBytes = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        var count = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        var idOffset = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
        var descriptorOffset = BinaryPrimitives.ReadInt32LittleEndian(header[16..]);
        var dataOffset = BinaryPrimitives.ReadInt32LittleEndian(header[20..]);
        if (nameBytes is <= 0 or > 4096 || count is < 0 or > 65536)
            throw new InvalidDataException($"KVM's statistics announce {count} descriptions with names of {nameBytes} bytes.");
        var id = new byte[nameBytes];
        Fill(file, id, idOffset);
        var descriptions = new byte[count * (DescriptorBytes + nameBytes)];
        Fill(file, descriptions, descriptorOffset);

        var items = new KvmStatistic[count];
        var offsets = new int[count];
        int values = 0, dataBytes = 0;
        for (var i = 0; i < count; i++)
        {
            var entry = descriptions.AsSpan(i * (DescriptorBytes + nameBytes), DescriptorBytes + nameBytes);
            var flags = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            var size = BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]);
            offsets[i] = BinaryPrimitives.ReadInt32LittleEndian(entry[8..]);
            items[i] = new KvmStatistic(
                Text(entry[DescriptorBytes..]), (KvmStatisticKind)(flags & 0xf), (KvmStatisticUnit)(flags >> 4 & 0xf), (flags >> 8 & 0xf) == 1 ? 2 : 10,
                BinaryPrimitives.ReadInt16LittleEndian(entry[4..]), values, size, BinaryPrimitives.ReadInt32LittleEndian(entry[12..]));
            values += size;
            dataBytes = Math.Max(dataBytes, offsets[i] + (size * sizeof(long)));
        }
        return new KvmStatistics(file, Text(id), items, offsets, dataOffset, dataBytes, values);
    }

    /// <summary>Reads all values now. Allocates nothing; not for two threads at once.</summary>
    /// <param name="values">Room for <see cref="ValueCount"/> values.</param>
    /// <exception cref="LinuxException">The descriptor cannot be read any more.</exception>
    public void Read(Span<long> values)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(values.Length, ValueCount, nameof(values));
        Fill(_file, _data, _dataOffset);
        for (var i = 0; i < _offsets.Length; i++)
            MemoryMarshal.Cast<byte, long>(_data.AsSpan(_offsets[i], Items[i].Count * sizeof(long))).CopyTo(values[Items[i].Index..]);
    }

    private static void Fill(SafeHandle file, Span<byte> buffer, long offset)
    {
        var count = Files.ReadAt(file, buffer, offset);
        if (count != buffer.Length)
            throw new InvalidDataException($"KVM's statistics end at byte {offset + count:#,0}; {buffer.Length - count:#,0} more were expected.");
    }

    private static string Text(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }
}
