using Exitless.Linux;
using Exitless.Linux.Interrupts;

namespace Exitless.Benchmarks;

/// <summary>What one sample of the interrupts costs.</summary>
/// <param name="Microseconds">CPU time.</param>
internal sealed record InterruptSample(long Reads, long Bytes, double Microseconds);

/// <summary>The same vectors on a small host and on a large one, and on the large one as the whole of /proc/interrupts.</summary>
internal sealed record InterruptGrowth(int Vectors, int FewInterrupts, InterruptSample Few, InterruptSample Many, InterruptSample Whole)
{
    public const int FewCpus = 4, ManyCpus = 256, ManyInterrupts = 4000;
    private const int Samples = 200, WholeSamples = 5;

    public double Ratio => Many.Microseconds / Few.Microseconds;

    public static InterruptGrowth Measure()
    {
        var folder = Directory.CreateTempSubdirectory("exitless-bench-").FullName;
        try
        {
            var addresses = Addresses;
            var vectors = addresses.Length * SamplerCost.VectorsPerVm;
            var few = Record(Path.Combine(folder, "few"), FewCpus, vectors);
            var many = Record(Path.Combine(folder, "many"), ManyCpus, ManyInterrupts);
            Sample(few, Samples);   // the first run fills caches
            var fewSample = Sample(few, Samples);
            var manySample = Sample(many, Samples);
            Directory.Delete(many.Sys("kernel/irq"), recursive: true);
            return new InterruptGrowth(vectors, vectors, fewSample, manySample, Sample(many, WholeSamples));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>One VF for each VM.</summary>
    public static string[] Addresses => [.. Enumerable.Range(0, SamplerCost.Vms).Select(vm => $"0000:01:{vm / 8:x2}.{vm % 8}")];

    /// <summary>A host whose VFs' vectors count.</summary>
    public static HostRoot Record(string folder, int cpus, int interrupts)
    {
        var recorded = new RecordedInterrupts(folder, cpus);
        foreach (var address in Addresses)
        {
            for (var vector = 0; vector < SamplerCost.VectorsPerVm; vector++)
            {
                recorded.Allocate(address, vector);
                recorded.Request(address, vector, 1_000_000 + vector);
            }
        }
        recorded.FillTo(interrupts);
        recorded.WriteTable();
        return new HostRoot(folder);
    }

    private static InterruptSample Sample(HostRoot root, int samples)
    {
        using var host = new VfioInterrupts(root);
        var functions = Addresses.Select(host.Open).ToArray();
        for (var i = 0; i < 3; i++)
            Read();
        var (reads, bytes, began) = (host.Meter.Reads, host.Meter.Bytes, Environment.CpuUsage.TotalTime);
        for (var i = 0; i < samples; i++)
            Read();
        var used = Environment.CpuUsage.TotalTime - began;
        var sample = new InterruptSample((host.Meter.Reads - reads) / samples, (host.Meter.Bytes - bytes) / samples, used.TotalMicroseconds / samples);
        foreach (var function in functions)
            function.Dispose();
        return sample;

        void Read()
        {
            host.Next();
            foreach (var function in functions)
                function.Read();
        }
    }
}
