namespace Exitless.Lab.Cache;

/// <summary>The Debian release of this machine, from <c>/etc/os-release</c> (os-release(5)).</summary>
/// <param name="Number">12, 13, …</param>
/// <param name="Codename">bookworm, trixie, …</param>
internal sealed record DebianRelease(int Number, string Codename)
{
    /// <summary>Suites that have QEMU 10 and Linux 6.12: Debian 12 has them in its backports, Debian 13 in its main suite.</summary>
    public string Suite => Number == 12 ? Codename + "-backports" : Codename;

    /// <summary>Reads the release; anything but Debian 12 and 13 is refused, with its name.</summary>
    public static DebianRelease Read(string osRelease)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in osRelease.Split('\n'))
        {
            if (line.Split('=', 2) is [var name, var value])
                values[name.Trim()] = value.Trim().Trim('"', '\'');
        }
        var known = values.GetValueOrDefault("ID") == "debian" && values.ContainsKey("VERSION_CODENAME")
            && int.TryParse(values.GetValueOrDefault("VERSION_ID"), out var number) && number is 12 or 13;
        return known
            ? new DebianRelease(int.Parse(values["VERSION_ID"]), values["VERSION_CODENAME"])
            : throw new LabException($"The lab knows Debian 12 and Debian 13, and this machine runs {values.GetValueOrDefault("PRETTY_NAME", "an unknown system")}.",
                "Run the lab on one of those, or start Exitless without it (`./run --no-lab`) on a machine that has SR-IOV devices.");
    }
}
