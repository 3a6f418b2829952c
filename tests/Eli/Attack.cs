using System.Diagnostics;

namespace Exitless.Tests;

/// <summary>The attacks of the guest module in tests/Eli/attack, and what its host has to keep meanwhile. Compiled into the tests and the benchmarks.</summary>
internal static class Attack
{
    /// <summary>How long each lasts. Its first third of a second is the host's loss, before it is noticed.</summary>
    public const int Seconds = 15;

    /// <summary>Where the module is in the demo guest.</summary>
    public const string Module = "/lib/attack.ko";

    /// <summary>For a host whose CPU 1 is the attacked one, and whose CPUs tick always.</summary>
    public const string KernelArguments = "isolcpus=managed_irq,domain,1 nohz=off";

    public static readonly string[] Names =
    [
        "if0", "if0-pulse", "if0-halt", "cr8", "noeoi", "eoistorm", "lidt-garbage", "lidt-garbage-open", "lidt-copy", "idt-alias", "intn",
        "shadow-unmap", "shadow-remap", "shadow-flip", "msix-storm",
    ];

    /// <summary>Those that the attacker's own VM does not outlive.</summary>
    public static readonly string[] Fatal = ["lidt-garbage-open", "shadow-unmap"];

    /// <summary>What the guest's shell is told; <c>spin</c> is the control.</summary>
    public static string Order(string what) =>
        $"insmod {Module} what={what} seconds={Seconds}; echo rounds=$(cat /sys/module/attack/parameters/rounds) eaten=$(cat /sys/module/attack/parameters/eaten); rmmod attack";

    /// <summary>Builds the module.</summary>
    /// <param name="headers">What the guest kernel's modules are built against.</param>
    /// <param name="folder">For <c>attack.ko</c>.</param>
    /// <returns>The module's file.</returns>
    public static async Task<string> BuildAsync(string headers, string folder, CancellationToken cancel)
    {
        using var build = Process.Start(new ProcessStartInfo(Checkout.At("tests/Eli/attack/build"), [headers, folder]))!;
        await build.WaitForExitAsync(cancel);
        return build.ExitCode == 0 ? Path.Combine(folder, "attack.ko") : throw new InvalidOperationException($"tests/Eli/attack/build ended with {build.ExitCode}.");
    }
}
