using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest;

namespace Exitless.ControlPlane.Metrics;

/// <summary>The columns of rows, one object for all VMs that have the same: they are compared by reference, and hashed once.</summary>
internal sealed class RowSchema
{
    // More contents than a fleet has; what an agent makes up beyond is let go of.
    private const int MostKept = 20_000;

    private static readonly ConcurrentDictionary<string, RowSchema> Known = new(StringComparer.Ordinal);

    private RowSchema(IReadOnlyList<SeriesDto> series, byte[] hash) => (Series, Hash) = (series, hash);

    /// <summary>In the order of the values.</summary>
    public IReadOnlyList<SeriesDto> Series { get; }

    /// <summary>SHA-256 of <see cref="Json"/>, by which the database finds it.</summary>
    public byte[] Hash { get; }

    /// <summary>As it is stored.</summary>
    public string Json => JsonSerializer.Serialize(Series, JsonFormat.Options);

    public static RowSchema Of(IReadOnlyList<SeriesDto> series)
    {
        var hash = SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(series, JsonFormat.Options));
        if (Known.Count > MostKept)
            Known.Clear();
        return Known.GetOrAdd(Convert.ToHexString(hash), _ => new RowSchema(series, hash));
    }
}
