namespace Exitless.Benchmarks;

/// <summary>The VMM beside its peers in the lab, and alone on this machine's KVM.</summary>
internal static class VmmBenchmark
{
    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        string? kvmtool = null, agent = Environment.GetEnvironmentVariable("EXITLESS_AGENT");
        var output = Checkout.At("docs/benchmarks/vmm.md");
        bool directOnly = false, whole = false;
        for (var i = 0; i < rest.Length; i++)
        {
            switch (rest[i])
            {
                case "--kvmtool" when i + 1 < rest.Length: kvmtool = rest[++i]; break;
                case "--agent" when i + 1 < rest.Length: agent = rest[++i]; break;
                case "--output" when i + 1 < rest.Length: output = rest[++i]; break;
                case "--direct-only": directOnly = true; break;
                case "--long": whole = true; break;
                default:
                    Console.Error.WriteLine($"'{rest[i]}' is not known, or lacks its value.");
                    return 2;
            }
        }
        agent ??= Checkout.At("artifacts/agent/exitless-agent");
        foreach (var file in (string?[])[agent, kvmtool])
        {
            if (file is not null && !File.Exists(file))
            {
                Console.Error.WriteLine($"There is no file {file}. Publish the agent with scripts/build; name kvmtool's lkvm by --kvmtool.");
                return 2;
            }
        }

        var direct = await DirectKvm.MeasureAsync(agent);
        var results = directOnly ? null : await LabRuns.MeasureAsync(agent, kvmtool, whole);
        var report = new Report(results, direct, whole);
        if (!directOnly)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(output)!);
            await File.WriteAllTextAsync(output, report.Markdown());
            Console.WriteLine($"wrote {output}");
        }
        if (directOnly)
            Console.WriteLine(report.Direct());
        Console.WriteLine(report.Json());
        return 0;
    }
}
