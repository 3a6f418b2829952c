using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Tests.Fixtures;

internal static class Requests
{
    private static int _names;

    public static string Name(string what) => $"{what}-{Interlocked.Increment(ref _names)}";

    /// <summary>A VM that every rule accepts on the host of <see cref="Inventories.Plain"/>.</summary>
    public static CreateVmRequest Vm(Guid host, string? vf = Inventories.Vf0, bool start = true) =>
        new(Name("vm"), host, "debian.vmlinuz", "demo.initrd", "console=ttyS0", 1, 256, vf is null ? [] : [new VmDeviceRequest(vf, "02:00:00:00:00:01")], start);
}
