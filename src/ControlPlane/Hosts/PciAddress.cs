using System.Text.RegularExpressions;

namespace Exitless.ControlPlane.Hosts;

/// <summary>PCI addresses as sysfs writes them: domain:bus:device.function, <c>dddd:bb:dd.f</c>, lower case. A device has 32 slots and 8 functions (PCI Local Bus 3.0 §3.2.2.3.2).</summary>
internal static partial class PciAddress
{
    public static bool IsValid(string address) => Form().IsMatch(address);

    [GeneratedRegex("^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Form();
}
