using Exitless.Benchmarks;
using Exitless.Linux.Interrupts;

namespace Exitless.Linux.Tests.Interrupts;

public sealed class FunctionVectorsTests : IDisposable
{
    private const string Vf = "0000:01:10.0", Other = "0000:01:10.2";
    // Thousands of small files, for which a disk that others use may need minutes.
    private readonly string _folder = Directory.Exists("/dev/shm")
        ? Directory.CreateDirectory($"/dev/shm/exitless-{Guid.CreateVersion7(TimeProvider.System.GetUtcNow()):N}").FullName
        : Directory.CreateTempSubdirectory("exitless-").FullName;

    private HostRoot Root => new(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_vector_comes_when_it_is_requested_and_goes_when_it_is_given_back()
    {
        var recorded = Recorded(2, Vf, 3);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        Assert.Empty(Read(function));
        recorded.Request(Vf, 2, 7);
        recorded.Request(Vf, 0, 5);
        Assert.Equal([(0, 5), (2, 7)], Read(function));
        recorded.Request(Vf, 2, 9);
        Assert.Equal([(0, 5), (2, 9)], Read(function));
        recorded.Release(Vf, 0);
        for (var reading = 0; reading < 10; reading++)
            function.Read();   // one that stood still before is asked about at every tenth
        Assert.Equal([(2, 9)], Read(function));
        recorded.Request(Vf, 0, 6);
        Assert.Equal([(0, 6), (2, 9)], Read(function));
    }

    [Fact]
    public void An_interrupt_that_is_freed_is_followed_under_its_new_number()
    {
        var recorded = Recorded(2, Vf, 2);
        recorded.Request(Vf, 0, 5);
        recorded.Request(Vf, 1, 6);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        Assert.Equal([(0, 5), (1, 6)], Read(function));
        recorded.Free(Vf, 0);
        Assert.Equal([(1, 6)], Read(function));
        recorded.Allocate(Vf, 0);
        recorded.Request(Vf, 0, 1);
        Assert.Equal([(0, 1), (1, 6)], Read(function));
        recorded.Free(Vf, 0);
        recorded.Free(Vf, 1);
        Directory.Delete(Path.Combine(_folder, $"sys/bus/pci/devices/{Vf}/msi_irqs"));
        Assert.Empty(Read(function));
        recorded.Allocate(Vf, 1);
        recorded.Request(Vf, 1, 2);
        Assert.Equal([(1, 2)], Read(function));
    }

    [Fact]
    public void What_a_sample_reads_is_what_the_functions_own_vectors_need_however_many_interrupts_the_host_has()
    {
        var few = Work(256, 20);
        var many = Work(256, 4000);
        Assert.Equal(few, many);
        // The folder's listing and its end; for each vector the count, and the name where it stood still.
        Assert.Equal((2 + 8, 2 + 16), (many.Rising.Reads, many.Still.Reads));
        // One CPU's number, 255 zeros, a comma or line end after each; the listing gives ten entries of 24 bytes.
        Assert.InRange(many.Rising.Bytes, 8 * 512, 8 * 600 + 10 * 32);
    }

    [Fact]
    public void Once_the_vectors_stand_a_sample_allocates_nothing()
    {
        var recorded = Recorded(4, Vf, 8);
        for (var vector = 0; vector < 8; vector++)
            recorded.Request(Vf, vector, vector);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        function.Read();
        function.Read();
        var before = GC.GetAllocatedBytesForCurrentThread();
        host.Next();
        function.Read();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(8, function.Counts.Length);
    }

    [Fact]
    public void A_count_goes_on_where_the_kernels_32_bits_end()
    {
        var recorded = Recorded(2, Vf, 1);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        recorded.Request(Vf, 0, uint.MaxValue);
        Assert.Equal([(0, uint.MaxValue)], Read(function));
        recorded.Request(Vf, 0, uint.MaxValue + 8L);
        Assert.Equal([(0, uint.MaxValue + 8L)], Read(function));
    }

    [Fact]
    public void Without_a_folder_of_interrupts_the_whole_table_is_read_once_for_all_functions()
    {
        var recorded = Recorded(2, Vf, 1);
        recorded.Allocate(Other, 3);
        recorded.Request(Vf, 0, 5);
        recorded.Request(Other, 3, 6);
        recorded.WriteTable();
        Directory.Delete(Path.Combine(_folder, "sys/kernel"), recursive: true);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        using var other = host.Open(Other);
        Assert.Equal([(0, 5)], Read(function));
        Assert.Equal([(3, 6)], Read(other));
        Assert.Equal(2, host.Meter.Reads);   // the text and its end
        recorded.Request(Vf, 0, 9);
        recorded.WriteTable();
        Assert.Equal([(0, 5)], Read(function));
        host.Next();
        Assert.Equal([(0, 9)], Read(function));
    }

    [Fact]
    public void Where_a_page_does_not_hold_a_number_for_each_CPU_the_table_is_read()
    {
        var recorded = Recorded(2, Vf, 1);
        recorded.Request(Vf, 0, 5);
        recorded.WriteTable();
        // 4,095 bytes are what the kernel's page holds.
        var number = Path.GetFileName(Assert.Single(Directory.GetFiles(Path.Combine(_folder, $"sys/bus/pci/devices/{Vf}/msi_irqs"))));
        File.WriteAllText(Path.Combine(_folder, $"sys/kernel/irq/{number}/per_cpu_count"), string.Concat(Enumerable.Repeat("1,", 2048))[..4095]);
        using var host = new VfioInterrupts(Root);
        using var function = host.Open(Vf);
        Assert.Equal([(0, 5)], Read(function));
    }

    private (ReadWork Rising, ReadWork Still) Work(int cpus, int interrupts)
    {
        var folder = Directory.CreateDirectory(Path.Combine(_folder, $"{cpus}-{interrupts}")).FullName;
        var recorded = new RecordedInterrupts(folder, cpus);
        for (var vector = 0; vector < 8; vector++)
            recorded.Allocate(Vf, vector);
        recorded.FillTo(interrupts);
        for (var vector = 0; vector < 8; vector++)
            recorded.Request(Vf, vector, 1000);
        using var host = new VfioInterrupts(new HostRoot(folder));
        using var function = host.Open(Vf);
        function.Read();
        for (var vector = 0; vector < 8; vector++)
            recorded.Request(Vf, vector, 2000);
        return (Measure(), Measure());   // the second is the first in which they stand still, which is when the names are read

        ReadWork Measure()
        {
            var (reads, bytes) = (host.Meter.Reads, host.Meter.Bytes);
            host.Next();
            function.Read();
            Assert.Equal(8, function.Counts.Length);
            return new ReadWork(host.Meter.Reads - reads, host.Meter.Bytes - bytes);
        }
    }

    private RecordedInterrupts Recorded(int cpus, string address, int vectors)
    {
        var recorded = new RecordedInterrupts(_folder, cpus);
        recorded.FillTo(5);
        for (var vector = 0; vector < vectors; vector++)
            recorded.Allocate(address, vector);
        return recorded;
    }

    private static (int, long)[] Read(FunctionVectors function)
    {
        function.Read();
        return [.. function.Counts.ToArray().Select(vector => (vector.Vector, vector.Count))];
    }

    private sealed record ReadWork(long Reads, long Bytes);
}
