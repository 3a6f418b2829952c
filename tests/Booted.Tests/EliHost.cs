using System.Diagnostics;
using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Booted.Tests;

/// <summary>A host with direct interrupts (src/Eli), whose CPU 1 keeps its ticks, and a demo guest that has the attacker's module in /lib/attack.ko.</summary>
public class EliHost : BootedHost, IAsyncLifetime
{
    internal const string Attacker = "/lib/attack.ko";
    private readonly string _built = Directory.CreateTempSubdirectory("exitless-attack-").FullName;

    /// <summary>Why there is no such host; null: there is one.</summary>
    internal string? Missing { get; } = Environment.GetEnvironmentVariable("EXITLESS_NIGHTLY") == "1" ? null
        : "Building KVM with ELI and attacking it takes many minutes; EXITLESS_NIGHTLY=1 runs it.";

    async ValueTask IAsyncLifetime.InitializeAsync()
    {
        if (Missing is not null)
            return;
        var cancel = TestContext.Current.CancellationToken;
        var files = await Preparation.EnsureAsync(LabCache.Root, renew: false, _ => { }, cancel);
        var modules = await EliModules.EnsureAsync(LabCache.Root, files, _ => { }, cancel);
        using var build = Process.Start(new ProcessStartInfo(Checkout.At("tests/Eli/attack/build"), [modules.Headers, _built]))!;
        await build.WaitForExitAsync(cancel);
        Assert.Equal(0, build.ExitCode);
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
        KernelArguments = "isolcpus=managed_irq,domain,1",
        GuestFiles = [new LabFile(Path.Combine(_built, "attack.ko"), Attacker)],
    };
}
