using Exitless.Linux.Procfs;

namespace Exitless.Linux.Tests.Procfs;

public sealed class ProcessUsageTests
{
    [Fact]
    public void Guest_time_is_taken_out_of_user_time_whatever_the_process_is_called()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            Directory.CreateDirectory(Path.Combine(folder.FullName, "proc/42"));
            // Fields 14, 15 and 43 are user, system and guest ticks of 10 ms; the name holds spaces and brackets.
            var fields = string.Join(' ', Enumerable.Range(4, 49).Select(f => f switch { 14 => "700", 15 => "50", 43 => "600", 19 => "-5", _ => "0" }));
            File.WriteAllText(Path.Combine(folder.FullName, "proc/42/stat"), $"42 (vm) S (x) S {fields}\n");
            File.WriteAllText(Path.Combine(folder.FullName, "proc/42/statm"), "9000 250 3 4 0 5 0\n");
            using var usage = new ProcessUsage(new HostRoot(folder.FullName), 42);
            usage.Read();
            Assert.Equal((6_000_000_000, 1_500_000_000, 250L * Environment.SystemPageSize), (usage.GuestNanoseconds, usage.HostNanoseconds, usage.ResidentBytes));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void This_process_can_be_read_again_and_again_without_allocating()
    {
        using var usage = new ProcessUsage(HostRoot.Machine, Environment.ProcessId);
        usage.Read();
        var before = GC.GetAllocatedBytesForCurrentThread();
        usage.Read();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(usage.ResidentBytes > 1 << 20);
    }
}
