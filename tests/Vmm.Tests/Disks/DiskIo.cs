using Exitless.Linux;
using Exitless.Vmm.Disks;

namespace Exitless.Vmm.Tests.Disks;

/// <summary>Reads and writes of a disk with plain arrays, in two stretches, as a guest's requests often are.</summary>
internal static unsafe class DiskIo
{
    public static int Read(IDisk disk, long offset, Span<byte> data)
    {
        fixed (byte* start = data)
        {
            var half = data.Length / 2;
            return disk.Read([new IoVector(start, (nuint)half), new IoVector(start + half, (nuint)(data.Length - half))], offset);
        }
    }

    public static int Write(IDisk disk, long offset, ReadOnlySpan<byte> data)
    {
        fixed (byte* start = data)
        {
            var third = data.Length / 3;
            return disk.Write([new IoVector(start, (nuint)third), new IoVector(start + third, (nuint)(data.Length - third))], offset);
        }
    }
}
