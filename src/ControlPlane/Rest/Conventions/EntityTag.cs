using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Primitives;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Strong entity tags (RFC 9110 §8.8.3): 128 bits of the SHA-256 of the whole representation, so that equal tags are equal answers whatever changed them.</summary>
internal static class EntityTag
{
    private const int Bytes = 16;

    public static byte[] Represent(object value) => JsonSerializer.SerializeToUtf8Bytes(value, value.GetType(), JsonFormat.Options);

    public static string Of(ReadOnlySpan<byte> representation) => $"\"{Base64Url.EncodeToString(SHA256.HashData(representation).AsSpan(0, Bytes))}\"";

    /// <summary>Whether <c>If-Match</c> names the tag: strong comparison.</summary>
    public static bool IsMatch(StringValues header, string tag) => Any(header, t => t == "*" || t == tag);

    /// <summary>Whether <c>If-None-Match</c> names the tag: weak comparison.</summary>
    public static bool IsNoneMatch(StringValues header, string tag) => Any(header, t => t == "*" || t == tag || t == $"W/{tag}");

    private static bool Any(StringValues header, Func<string, bool> so) => header.SelectMany(h => (h ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)).Any(so);
}
