using System.Globalization;
using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Benchmarks;

/// <summary>Hosts with ELI whose demo guest has the attacker's module, and what the ELI benchmark's parts do alike there.</summary>
internal sealed class EliLab
{
    private readonly string _agent, _module, _folder;

    private EliLab(string agent, string module, string folder) => (_agent, _module, _folder) = (agent, module, folder);

    /// <param name="agent">The published agent.</param>
    /// <param name="folder">For the module and the hosts' files.</param>
    public static async Task<EliLab> PrepareAsync(string agent, string folder)
    {
        var files = await Preparation.EnsureAsync(LabCache.Root, renew: false, Console.WriteLine, CancellationToken.None);
        var modules = await EliModules.EnsureAsync(LabCache.Root, files, Console.WriteLine, CancellationToken.None);
        return new EliLab(agent, await Attack.BuildAsync(modules.Headers, Path.Combine(folder, "module"), CancellationToken.None), folder);
    }

    /// <param name="shape">What kind of host.</param>
    public Task<LabHost> StartAsync(Func<LabHostOptions, LabHostOptions> shape) => LabHost.StartAsync(
        shape(new LabHostOptions
        {
            Name = "eli",
            RunRoot = Path.Combine(_folder, "run"),
            Files = [new LabFile(_agent, "/opt/exitless-agent")],
            GuestFiles = [new LabFile(_module, Attack.Module)],
            Eli = true,
            BootLimit = TimeSpan.FromMinutes(10),
            Progress = Console.WriteLine,
        }),
        CancellationToken.None);

    /// <summary>Runs a script in a host, with the benchmark's functions; it must succeed.</summary>
    public static async Task<string> RunAsync(LabHost host, string script, TimeSpan limit)
    {
        var result = await host.ShellAsync(EliScript.Functions + script, limit, CancellationToken.None);
        return result.ExitCode == 0 ? result.Output : throw new LabException($"The step ended with {result.ExitCode}: {result.Output}{result.Errors}", "See the host's console log.");
    }

    /// <summary>Makes VFs by a script of <see cref="EliScript"/>.</summary>
    /// <returns>Their addresses.</returns>
    public static async Task<string[]> VfsAsync(LabHost host, string script) =>
        (await host.ShellAsync(script, TimeSpan.FromMinutes(2), CancellationToken.None)).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary>What a host's log says of warnings, bugs and stalls: a command that prints how many lines do.</summary>
    /// <param name="log">The command that prints the log.</param>
    public static string Warnings(string log) => $"{log} | grep -cE 'WARNING|BUG:|rcu:.*(stall|detected)|Call Trace|soft lockup|nobody cared|No irq handler'; true\n";

    /// <summary>A command that starts a guest with a vCPU for each VF, on the CPUs from 1 on.</summary>
    /// <param name="direct">The VMM's word for the way of its interrupts.</param>
    /// <param name="orders">What the guest does, besides answering: words of its command line, each with a space before it.</param>
    public static string Start(string direct, string orders, params string[] vfs) => $$"""
        start_vm <<'SPEC'
        { "kernel": "/var/lib/exitless/images/debian.vmlinuz", "initrd": "/var/lib/exitless/images/demo.initrd", "memoryMib": 256, "vcpus": {{vfs.Length}}, "vcpuCpus": [{{string.Join(", ", Enumerable.Range(1, vfs.Length))}}],
          "commandLine": "console=ttyS0 quiet mitigations=off tsc=reliable iomem=relaxed exitless.ip=10.0.3.20/24 exitless.interval=0{{orders}}",
          "interrupts": { "ownCpus": true, "hidePvEoi": true, "direct": "{{direct}}" },
          "devices": [ {{string.Join(", ", vfs.Select((vf, n) => string.Create(CultureInfo.InvariantCulture, $$"""{ "address": "{{vf}}", "mac": "52:54:00:0e:11:{{n + 1:x2}}" }""")))}} ] }
        SPEC

        """;
}
