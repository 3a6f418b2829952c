using System.Reflection;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent;

/// <summary>What names this host and this agent.</summary>
internal static class HostFacts
{
    public static string AgentVersion { get; } =
        typeof(HostFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0";

    public static string Name(HostRoot root) => SysfsFile.Text(root.Proc("sys/kernel/hostname")) ?? "";

    /// <summary>A new one at each boot of the host (random(4)).</summary>
    public static string BootId(HostRoot root) => SysfsFile.Text(root.Proc("sys/kernel/random/boot_id")) ?? "";

    /// <summary>machine-id(5), or the DMI product UUID where there is none (an initramfs).</summary>
    public static string MachineId(HostRoot root) =>
        SysfsFile.Text(root.At("/etc/machine-id")) is { Length: > 0 } id ? id : SysfsFile.Text(root.Sys("class/dmi/id/product_uuid")) ?? "";
}
