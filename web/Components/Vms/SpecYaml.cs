using System.Globalization;
using System.Text;
using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Vms;

/// <summary>A VM's specification as YAML, with the names that the REST API gives its fields, so that it can be turned into a request.</summary>
internal static class SpecYaml
{
    public static string Of(VmDto vm)
    {
        var text = new StringBuilder();
        Line(text, "name", Text(vm.Name));
        Line(text, "hostId", Text(vm.HostId.ToString("D")));
        Line(text, "kernel", Text(vm.Kernel));
        if (vm.Initrd is { } initrd)
            Line(text, "initrd", Text(initrd));
        Line(text, "commandLine", Text(vm.CommandLine));
        Line(text, "vcpus", vm.Vcpus.ToString(CultureInfo.InvariantCulture));
        Line(text, "memoryMib", vm.MemoryMib.ToString(CultureInfo.InvariantCulture));
        Line(text, "devices", vm.Devices.Count == 0 ? "[]" : "");
        foreach (var device in vm.Devices)
        {
            Line(text, "  - address", Text(device.Address));
            if (device.Mac is { } mac)
                Line(text, "    mac", Text(mac));
        }
        Line(text, "stopSeconds", vm.StopSeconds.ToString(CultureInfo.InvariantCulture));
        Line(text, "interrupts", vm.Interrupts.ToString().ToLowerInvariant());
        Line(text, "guestCounts", vm.GuestCounts ? "true" : "false");
        return text.ToString();
    }

    private static void Line(StringBuilder text, string key, string value) => text.Append(key).Append(value.Length == 0 ? ":" : ": ").Append(value).Append('\n');

    // Double-quoted (YAML 1.2.2 §7.3.1): addresses would be read as numbers to the base of sixty, and names can be anything.
    private static string Text(string value) => $"\"{value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
