using System.Globalization;

namespace Exitless.Web.Components.Parts;

/// <summary>Amounts as people read them.</summary>
internal static class Amounts
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

    /// <summary>Thousands set apart by narrow spaces (ISO 80000-1 §7.3.1).</summary>
    public static NumberFormatInfo Digits { get; } = new() { NumberGroupSeparator = "\u202f" };

    /// <summary>Bytes in binary units, with three figures that matter.</summary>
    public static string Bytes(long bytes)
    {
        double value = bytes;
        var unit = 0;
        for (; Math.Abs(value) >= 1024 && unit < Units.Length - 1; unit++) value /= 1024;
        return unit == 0 || value == Math.Floor(value) ? $"{value:0} {Units[unit]}" : value >= 100 ? $"{value:0} {Units[unit]}" : $"{value:0.0} {Units[unit]}";
    }

    /// <summary>How long something took: 0.4 s, 12 s, 3 min 5 s.</summary>
    public static string Took(TimeSpan time) => time.TotalSeconds switch
    {
        < 0 => "0 s",
        < 9.95 => $"{time.TotalSeconds:0.0} s",
        < 90 => $"{time.TotalSeconds:0} s",
        _ => $"{(int)time.TotalMinutes} min {time.Seconds} s",
    };

    /// <summary>"1 VF", "3 VFs".</summary>
    public static string Count(int count, string noun) => count == 1 ? $"1 {noun}" : $"{count} {noun}s";
}
