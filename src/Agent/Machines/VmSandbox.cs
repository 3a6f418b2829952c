using System.Runtime.CompilerServices;
using Exitless.Vmm;

namespace Exitless.Agent.Machines;

/// <summary>How a VM's process is confined: which user it becomes.</summary>
internal static class VmSandbox
{
    // Far above the users that systemd (up to 0x7fffffff in blocks of its own) and containers' maps usually hand out, and one for each VM as far as 24 bits go.
    private const uint FirstUser = 0x7100_0000;

    /// <summary>What is added to the process's arguments. A program with a just-in-time compiler needs executable memory and runs without.</summary>
    public static string[] Arguments(string vmId) =>
        RuntimeFeature.IsDynamicCodeSupported ? [] : [VmmCommandLine.SandboxOption, (VmmProcess.IsRoot ? UserOf(vmId) : 0).ToString(System.Globalization.CultureInfo.InvariantCulture)];

    // The last bytes of a UUIDv7 are random.
    internal static uint UserOf(string vmId)
    {
        var bytes = Guid.Parse(vmId).ToByteArray();
        return FirstUser | (uint)(bytes[13] << 16 | bytes[14] << 8 | bytes[15]);
    }
}
