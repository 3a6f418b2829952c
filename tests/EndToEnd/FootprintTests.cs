using System.Text.RegularExpressions;

namespace Exitless.EndToEnd;

/// <summary>What the agent and a VM's process cost the host.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed partial class FootprintTests(DemoFixture demo)
{
    private const long Mega = 1_000_000;

    [Fact]
    public void The_agent_is_one_file_of_at_most_25_MB()
    {
        var folder = Path.Combine(DemoFixture.Artifacts, "agent");
        // Symbols and documentation stay behind; what a host gets is the one file.
        var programs = Directory.GetFiles(folder).Where(file => Path.GetExtension(file) is not (".dbg" or ".xml" or ".pdb")).ToArray();
        var program = Assert.Single(programs);
        var bytes = new FileInfo(program).Length;
        TestContext.Current.TestOutputHelper?.WriteLine($"agent: {bytes / (double)Mega:0.0} MB");
        Assert.InRange(bytes, 1, 25 * Mega);
    }

    [Fact]
    public async Task An_agent_that_only_watches_has_a_PSS_of_at_most_40_MB()
    {
        var pss = Kilobytes(await demo.InHostAsync("cat /proc/$(cat /run/lab/agent.pid)/smaps_rollup")) * 1024;
        TestContext.Current.TestOutputHelper?.WriteLine($"agent: PSS {pss / (double)Mega:0.0} MB");
        Assert.InRange(pss, Mega, 40 * Mega);
    }

    [Fact]
    public async Task A_VM_process_has_a_PSS_of_at_most_20_MB_besides_the_guests_memory()
    {
        var vm = await demo.RunningAsync();
        var maps = await demo.InHostAsync($"cat /proc/{vm.GetProperty("processId").GetInt32()}/smaps");
        long all = 0, guest = 0, mapping = 0;
        foreach (var line in maps.Split('\n'))
        {
            if (line.StartsWith("Pss:", StringComparison.Ordinal))
                all += mapping = Kilobytes(line) * 1024;
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal) && line.Split(' ').Contains("hg", StringComparer.Ordinal))
                guest += mapping;   // huge pages are asked for in the guest's memory alone
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"VM process: PSS {(all - guest) / (double)Mega:0.0} MB and {guest / (double)Mega:0.0} MB of guest memory");
        Assert.True(guest > 100 * Mega, "the guest's memory was not found among the mappings");
        Assert.InRange(all - guest, Mega / 2, 20 * Mega);
    }

    private static long Kilobytes(string smaps) => long.Parse(Pss().Match(smaps).Groups[1].Value);

    [GeneratedRegex(@"^Pss:\s+(\d+) kB", RegexOptions.Multiline)]
    private static partial Regex Pss();
}
