using System.Net.NetworkInformation;

namespace Exitless.Agent.Inventory;

/// <summary>MACs in the form that Linux prints: lower case with colons.</summary>
internal static class MacText
{
    public static string Of(PhysicalAddress mac) => string.Join(':', mac.GetAddressBytes().Select(b => b.ToString("x2")));

    /// <summary>What some PFs (igb) show for a VF that was given none: its driver makes one up.</summary>
    public static bool IsNone(PhysicalAddress mac) => !mac.GetAddressBytes().AsSpan().ContainsAnyExcept((byte)0);

    /// <summary>A unicast MAC of 6 bytes that is not all zero; null for anything else.</summary>
    public static PhysicalAddress? Parse(string text)
    {
        if (text.Length != 17 || !PhysicalAddress.TryParse(text.Replace(':', '-'), out var mac))
            return null;
        var bytes = mac.GetAddressBytes();
        return bytes.Length == 6 && (bytes[0] & 1) == 0 && bytes.AsSpan().ContainsAnyExcept((byte)0) ? mac : null;
    }
}
