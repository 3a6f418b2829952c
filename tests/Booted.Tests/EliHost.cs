using System.Diagnostics;
using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>
/// A host with direct interrupts (src/Eli), whose CPU 1 keeps its ticks, and a demo guest that has the attacker's module in /lib/attack.ko.
/// <c>EXITLESS_ELI_MODULES</c> names the folder with kvm.ko and kvm-amd.ko, <c>EXITLESS_KERNEL_HEADERS</c> what modules of the lab's kernel are built against.
/// </summary>
public class EliHost : BootedHost, IAsyncLifetime
{
    internal const string Attacker = "/lib/attack.ko";
    private readonly string _built = Directory.CreateTempSubdirectory("exitless-attack-").FullName;

    /// <summary>Why there is no such host; null: there is one.</summary>
    internal string? Missing { get; private set; }

    private static string Modules => Environment.GetEnvironmentVariable("EXITLESS_ELI_MODULES") ?? "";

    private static string Headers => Environment.GetEnvironmentVariable("EXITLESS_KERNEL_HEADERS") ?? "";

    async ValueTask IAsyncLifetime.InitializeAsync()
    {
        Missing = !File.Exists(Path.Combine(Modules, "kvm.ko")) ? "EXITLESS_ELI_MODULES names no folder with kvm.ko and kvm-amd.ko; src/Eli/build makes them."
            : !File.Exists(Path.Combine(Headers, "Module.symvers")) ? "EXITLESS_KERNEL_HEADERS does not name the headers of the lab's kernel."
            : null;
        if (Missing is not null)
            return;
        using var build = Process.Start(new ProcessStartInfo(Checkout.At("tests/Eli/attack/build"), [Headers, _built]))!;
        await build.WaitForExitAsync(TestContext.Current.CancellationToken);
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
        Modules = [Path.Combine(Modules, "kvm.ko"), Path.Combine(Modules, "kvm-amd.ko")],
        KernelArguments = "isolcpus=managed_irq,domain,1",
        GuestFiles = [new LabFile(Path.Combine(_built, "attack.ko"), Attacker)],
    };
}
