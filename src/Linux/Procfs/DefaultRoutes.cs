using System.Globalization;

namespace Exitless.Linux.Procfs;

/// <summary>The host's default routes, from /proc/net/route and /proc/net/ipv6_route.</summary>
public static class DefaultRoutes
{
    private const int RouteUp = 1, RouteReject = 0x200;   // linux/route.h RTF_UP, RTF_REJECT

    /// <summary>The names of the interfaces that default routes leave by.</summary>
    public static IReadOnlyList<string> Interfaces(HostRoot root)
    {
        var names = new List<string>();
        foreach (var line in ProcFile.Lines(root.Proc("net/route")).Skip(1))
        {
            // Iface Destination Gateway Flags RefCnt Use Metric Mask …
            var fields = line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 8 && fields[1] == "00000000" && fields[7] == "00000000" && IsUsable(fields[3]))
                names.Add(fields[0]);
        }
        foreach (var line in ProcFile.Lines(root.Proc("net/ipv6_route")))
        {
            // destination prefix-length source … metric reference-count use flags interface
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 10 && fields[0].All(c => c == '0') && fields[1] == "00" && IsUsable(fields[8]))
                names.Add(fields[9]);
        }
        return [.. names.Distinct(StringComparer.Ordinal)];
    }

    private static bool IsUsable(string flags) =>
        int.TryParse(flags, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) && (value & (RouteUp | RouteReject)) == RouteUp;
}
