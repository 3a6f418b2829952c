using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Exitless.ControlPlane.Database;

/// <summary>Values that are always read and written whole live in a jsonb column.</summary>
internal static class JsonColumn
{
    private static readonly JsonSerializerOptions Format = Rest.JsonFormat.Options;

    public static PropertyBuilder<T> IsJson<T>(this PropertyBuilder<T> property)
    {
        var converter = new ValueConverter<T, string>(v => JsonSerializer.Serialize(v, Format), s => JsonSerializer.Deserialize<T>(s, Format)!);
        var comparer = new ValueComparer<T>(
            (a, b) => JsonSerializer.Serialize(a, Format) == JsonSerializer.Serialize(b, Format),
            v => JsonSerializer.Serialize(v, Format).GetHashCode(StringComparison.Ordinal),
            v => v);
        property.HasConversion(converter, comparer).HasColumnType("jsonb");
        return property;
    }
}
