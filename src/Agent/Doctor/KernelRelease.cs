using System.Globalization;

namespace Exitless.Agent.Doctor;

/// <summary>The version in a kernel's release.</summary>
/// <param name="Patch">Null where a distributor counts in a way of its own (5.14.0-687.el9, 6.8.0-45-generic): which stable release it holds cannot be told from the name.</param>
internal sealed record KernelRelease(string Text, int Major, int Minor, int? Patch)
{
    public static KernelRelease Parse(string text)
    {
        var dash = text.IndexOfAny(['-', '+', '_']);
        var parts = (dash < 0 ? text : text[..dash]).Split('.');
        int? Part(int index) => index < parts.Length && int.TryParse(parts[index], NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;
        var patch = Part(2) ?? (parts.Length <= 2 ? 0 : null);
        // 6.9.0 and 6.9.0-rc7 are Linus's; 6.8.0-45 and 5.14.0-687 are distributors', who number their own builds after the dash.
        var own = patch == 0 && dash >= 0 && text[dash] == '-' && dash + 1 < text.Length && char.IsAsciiDigit(text[dash + 1]);
        return new KernelRelease(text, Part(0) ?? 0, Part(1) ?? 0, own ? null : patch);
    }

    /// <summary>Whether this is at least major.minor.</summary>
    public bool IsAtLeast(int major, int minor) => Major != major ? Major > major : Minor >= minor;

    /// <summary>Whether a change is in this kernel.</summary>
    /// <param name="since">The first release of Linus's that has it, and the first of each stable series that took it.</param>
    /// <returns>Null where the release's name does not tell.</returns>
    public bool? Has((int Major, int Minor) since, params ReadOnlySpan<(int Major, int Minor, int Patch)> stable)
    {
        if (IsAtLeast(since.Major, since.Minor))
            return true;
        if (Patch is not { } patch)
            return null;
        foreach (var (major, minor, first) in stable)
        {
            if (major == Major && minor == Minor)
                return patch >= first;
        }
        return false;
    }
}
