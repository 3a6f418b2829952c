using System.Buffers.Text;
using System.Text.Json;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>A place in a list: the key of the last item that was shown. What comes or goes before it moves no page.</summary>
internal static class Cursor
{
    public const int MostListed = 1000;

    /// <summary>Base64url of a JSON array: the list's name, then the key.</summary>
    public static string Write(string list, IEnumerable<string> key) => Base64Url.EncodeToString(JsonSerializer.SerializeToUtf8Bytes((string[])[list, .. key]));

    /// <summary>The key; <see cref="ProblemException"/> when it is none of this list.</summary>
    public static string[] Read(string list, string cursor)
    {
        try
        {
            if (JsonSerializer.Deserialize<string[]>(Base64Url.DecodeFromChars(cursor)) is [var name, _, ..] parts && name == list)
                return parts[1..];
        }
        catch (Exception e) when (e is FormatException or JsonException)
        {
            // Told below, like a cursor of another list.
        }
        throw Wrong(cursor);
    }

    /// <summary>The id that the page goes on after, of a list by id; null without a cursor.</summary>
    public static Guid? ReadId(string list, string? cursor)
    {
        if (string.IsNullOrEmpty(cursor))
            return null;
        return Read(list, cursor) is [var id] && Guid.TryParse(id, out var guid) ? guid : throw Wrong(cursor);
    }

    public static int Limit(string? text) => int.TryParse(text, System.Globalization.NumberStyles.None, null, out var limit) && limit is >= 1 and <= MostListed
        ? limit
        : throw ProblemException.ForField(ProblemKind.Invalid, "limit-invalid", "The limit is out of range.", "limit", $"'{text}' is not between 1 and {MostListed}.");

    private static ProblemException Wrong(string cursor) =>
        ProblemException.ForField(ProblemKind.Invalid, "cursor-invalid", "The cursor is of no use here.", "cursor", $"'{cursor}' is no cursor of this list.", "Follow the 'next' link of the page before, or begin without a cursor.");
}
