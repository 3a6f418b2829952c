using System.Text;

namespace Exitless.Web.Components.Lists;

/// <summary>Comma-separated values as RFC 4180 has them, in UTF-8 with a byte order mark, so that spreadsheets read the names right.</summary>
internal static class Csv
{
    /// <summary>The beginning of the file.</summary>
    public static ReadOnlySpan<byte> Mark => "\uFEFF"u8;

    public static void AppendLine(StringBuilder text, IEnumerable<string?> cells)
    {
        text.AppendJoin(',', cells.Select(Cell)).Append("\r\n");
    }

    private static string Cell(string? value)
    {
        if (string.IsNullOrEmpty(value))
            return "";
        // A spreadsheet would take these for formulas, and names are other people's.
        if (value[0] is '=' or '+' or '-' or '@' or '\t' or '\r')
            value = "'" + value;
        return value.AsSpan().IndexOfAny("\",\r\n") < 0 ? value : $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }
}
