using System.Buffers.Binary;

namespace Exitless.Linux.Tests;

public sealed class KvmStatisticsTests
{
    [Fact]
    public void Statistics_are_read_by_name_from_their_binary_form_and_garbage_is_refused()
    {
        // Two statistics with names of 16 bytes: a counter, and a histogram of 3 buckets in nanoseconds.
        const int nameBytes = 16, descriptions = 40, data = descriptions + (2 * (16 + nameBytes));
        var bytes = new byte[data + 32];
        Put(4, nameBytes);
        Put(8, 2);
        Put(12, 24);
        Put(16, descriptions);
        Put(20, data);
        "kvm-1/vcpu-0"u8.CopyTo(bytes.AsSpan(24));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(descriptions + 6), 1);
        "exits"u8.CopyTo(bytes.AsSpan(descriptions + 16));
        const int second = descriptions + 16 + nameBytes;
        Put(second, 4 | 2 << 4);
        BinaryPrimitives.WriteInt16LittleEndian(bytes.AsSpan(second + 4), -9);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(second + 6), 3);
        Put(second + 8, 8);
        "wait_hist"u8.CopyTo(bytes.AsSpan(second + 16));
        for (var i = 0; i < 4; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(data + (8 * i)), 10 + i);

        using var file = MemoryFile.Create("statistics", bytes.Length);
        Files.TryWriteAt(file, bytes, 0, out _);
        var statistics = KvmStatistics.Open(file);
        Assert.Equal("kvm-1/vcpu-0", statistics.Id);
        Assert.Equal(
            [new KvmStatistic("exits", KvmStatisticKind.Cumulative, KvmStatisticUnit.None, 10, 0, 0, 1, 0), new KvmStatistic("wait_hist", KvmStatisticKind.LogHistogram, KvmStatisticUnit.Seconds, 10, -9, 1, 3, 0)],
            statistics.Items);
        var values = new long[4];
        statistics.Read(values);
        Assert.Equal([10, 11, 12, 13], values);
        Assert.Throws<ArgumentOutOfRangeException>(() => statistics.Read(new long[3]));

        using var cut = MemoryFile.Create("statistics", 30);
        Files.TryWriteAt(cut, bytes.AsSpan(0, 30), 0, out _);
        Assert.Throws<InvalidDataException>(() => KvmStatistics.Open(cut));

        void Put(int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(offset), value);
    }
}
