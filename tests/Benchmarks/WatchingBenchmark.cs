using System.Globalization;
using System.Text.Json;

namespace Exitless.Benchmarks;

/// <summary>What the agent's sampling costs: 50 flat guests with 8 recorded vectors each, and whether it grows with the host.</summary>
internal static class WatchingBenchmark
{
    // Issue 4: at most 0.5 % of one CPU. The growth's bar is ours: the large host has 640 times the CPUs x interrupts of the small one.
    private const double MostPercent = 0.5, MostGrowth = 2;
    private const string Command = "dotnet run -c Release --project tests/Benchmarks -- watching";

    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        var agent = Environment.GetEnvironmentVariable("EXITLESS_AGENT");
        var output = Checkout.At("docs/benchmarks/watching.md");
        var seconds = 60;
        for (var i = 0; i < rest.Length; i++)
        {
            switch (rest[i])
            {
                case "--agent" when i + 1 < rest.Length: agent = rest[++i]; break;
                case "--output" when i + 1 < rest.Length: output = rest[++i]; break;
                case "--seconds" when i + 1 < rest.Length && int.TryParse(rest[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out seconds) && seconds > 0: i++; break;
                default:
                    Console.Error.WriteLine($"'{rest[i]}' is not known, or lacks its value.");
                    return 2;
            }
        }
        agent ??= Checkout.At("artifacts/agent/exitless-agent");
        if (!File.Exists(agent))
        {
            Console.Error.WriteLine($"There is no file {agent}. Publish the agent with scripts/build.");
            return 2;
        }

        var growth = InterruptGrowth.Measure();
        var sampler = await SamplerCost.MeasureAsync(agent, TimeSpan.FromSeconds(seconds));
        bool? cheap = sampler.Percent is { } percent ? percent <= MostPercent : null;
        var flat = growth.Ratio <= MostGrowth;
        Directory.CreateDirectory(Path.GetDirectoryName(output)!);
        await File.WriteAllTextAsync(output, Markdown(sampler, growth, seconds));
        Console.WriteLine($"wrote {output}");
        Console.WriteLine(Json(sampler, growth, cheap, flat));
        return 0;
    }

    private static string Json(SamplerCost sampler, InterruptGrowth growth, bool? cheap, bool flat)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("benchmark", "watching");
            Bar(json, "cpu_percent", sampler.Percent, MostPercent, cheap);
            Bar(json, "growth_256_cpus_4000_interrupts", growth.Ratio, MostGrowth, flat);
            if (sampler.Why is { } why)
                json.WriteString("skipped", why);
            json.WritePropertyName("holds");
            if (flat && cheap is null)
                json.WriteNullValue();
            else
                json.WriteBooleanValue(flat && cheap == true);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Bar(Utf8JsonWriter json, string name, double? figure, double bar, bool? holds)
    {
        json.WriteStartObject(name);
        json.WritePropertyName("figure");
        if (figure is { } known)
            json.WriteNumberValue(Math.Round(known, 3));
        else
            json.WriteNullValue();
        json.WriteNumber("bar", bar);
        json.WritePropertyName("holds");
        if (holds is { } yes)
            json.WriteBooleanValue(yes);
        else
            json.WriteNullValue();
        json.WriteEndObject();
    }

    private static string Markdown(SamplerCost sampler, InterruptGrowth growth, int seconds) => string.Create(CultureInfo.InvariantCulture, $"""
        # What watching costs

            {Command}

        | what | figure | bar |
        |---|---|---|
        | {SamplerCost.Vms} VMs with {SamplerCost.VectorsPerVm} vectors each, once a second: CPU time, % of one CPU, over {seconds} s | {(sampler.Percent is { } p ? p.ToString("0.000", CultureInfo.InvariantCulture) : $"not measured: {sampler.Why}")} | {MostPercent} |
        | one sample of {growth.Vectors} vectors on a host of {InterruptGrowth.ManyCpus} CPUs and {InterruptGrowth.ManyInterrupts:#,0} interrupts: CPU time, over that on a host of {InterruptGrowth.FewCpus} CPUs and {growth.FewInterrupts} interrupts | {growth.Ratio:0.00} | {MostGrowth} |

        The VMs are flat guests on this machine's `/dev/kvm`, each in a process of its own under the published agent's VMM. The agent's sampler runs in the benchmark's process as it does
        in the agent, every second, with the rows of every ten seconds taken and serialized as for the control plane; all CPU time of that process counts, the runtime's too. The guests have no
        devices: their vectors are files in the form of the kernel's, on a host composed as {InterruptGrowth.ManyCpus} CPUs and {InterruptGrowth.ManyInterrupts:#,0} interrupts. They stand still, which is
        the dearer case: then who has requested an interrupt is read too, every tenth time.

        One sample of {growth.Vectors} vectors:

        | host | how | reads | bytes | CPU time, µs |
        |---|---|---|---|---|
        | {InterruptGrowth.FewCpus} CPUs, {growth.FewInterrupts} interrupts | each interrupt by itself | {growth.Few.Reads:#,0} | {growth.Few.Bytes:#,0} | {growth.Few.Microseconds:#,0} |
        | {InterruptGrowth.ManyCpus} CPUs, {InterruptGrowth.ManyInterrupts:#,0} interrupts | each interrupt by itself | {growth.Many.Reads:#,0} | {growth.Many.Bytes:#,0} | {growth.Many.Microseconds:#,0} |
        | {InterruptGrowth.ManyCpus} CPUs, {InterruptGrowth.ManyInterrupts:#,0} interrupts | `/proc/interrupts` as a whole | {growth.Whole.Reads:#,0} | {growth.Whole.Bytes:#,0} | {growth.Whole.Microseconds:#,0} |

        What files cannot show is the kernel's own work to write a line: one number for each CPU that it may have, for each of the VMs' vectors, and none for the host's other interrupts.

        """);
}
