using System.Text.Json.Nodes;
using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Booted.Tests;

/// <summary>A host with direct interrupts (src/Eli), whose CPUs tick always, and a demo guest that has the attacker's module in /lib/attack.ko.</summary>
public class EliHost : BootedHost, IAsyncLifetime
{
    private readonly string _built = Directory.CreateTempSubdirectory("exitless-attack-").FullName;

    /// <summary>Why there is no such host; null: there is one.</summary>
    internal string? Missing { get; } = Nightly.IsOn || Environment.GetEnvironmentVariable("EXITLESS_ELI") == "1" ? null
        : "Building KVM with ELI takes minutes; EXITLESS_ELI=1 runs it.";

    /// <summary>A guest with one vCPU on CPU 1 and one VF, in direct mode.</summary>
    /// <param name="vf">Its PCI address.</param>
    /// <param name="orders">What the guest does, besides answering: words of its command line (docs/lab.md).</param>
    internal static JsonObject Guest(string vf, string orders) => new()
    {
        ["memoryMib"] = 256,
        ["commandLine"] = $"console=ttyS0 quiet mitigations=off tsc=reliable iomem=relaxed exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.interval=0 {orders}",
        ["vcpus"] = 1,
        ["vcpuCpus"] = new JsonArray(1),
        ["interrupts"] = new JsonObject { ["ownCpus"] = true, ["hidePvEoi"] = true, ["direct"] = "full" },
        ["devices"] = new JsonArray(new JsonObject { ["address"] = vf }),
    };

    /// <summary>What the host's kernel has to complain of since it was last asked; empty: nothing.</summary>
    internal Task<string> WarningsAsync() => RunAsync("dmesg -c | grep -E 'rcu: INFO|WARNING:|BUG:|lockup|Call Trace|nobody cared|No irq handler' || true");

    async ValueTask IAsyncLifetime.InitializeAsync()
    {
        if (Missing is not null)
            return;
        var cancel = TestContext.Current.CancellationToken;
        var files = await Preparation.EnsureAsync(LabCache.Root, renew: false, _ => { }, cancel);
        var modules = await EliModules.EnsureAsync(LabCache.Root, files, _ => { }, cancel);
        await Attack.BuildAsync(modules.Headers, _built, cancel);
        await InitializeAsync();
    }

    async ValueTask IAsyncDisposable.DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await DisposeAsync();
        Directory.Delete(_built, recursive: true);
    }

    /// <inheritdoc />
    protected override LabHostOptions Shape(LabHostOptions options) => options with
    {
        Name = "eli",
        Eli = true,
        Cpus = 2,
        KernelArguments = Attack.KernelArguments,
        GuestFiles = [new LabFile(Path.Combine(_built, "attack.ko"), Attack.Module)],
    };
}

// Beside no other host: it is judged by its ticks.
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class EliHostCollection : ICollectionFixture<EliHost>
{
    public const string Name = "host with ELI";
}
