using System.Text.Json;
using System.Text.Json.Serialization;

namespace Exitless.ControlPlane.Rest;

/// <summary>JSON as the API speaks it: camelCase, enums by name, numbers as numbers, and no member that it does not know.</summary>
internal static class JsonFormat
{
    public static JsonSerializerOptions Options { get; } = ReadOnly(Apply(new JsonSerializerOptions(JsonSerializerDefaults.Web)));

    public static JsonSerializerOptions Apply(JsonSerializerOptions options)
    {
        options.NumberHandling = JsonNumberHandling.Strict;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.RespectNullableAnnotations = true;
        options.RespectRequiredConstructorParameters = true;
        options.AllowDuplicateProperties = false;
        options.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false));
        return options;
    }

    private static JsonSerializerOptions ReadOnly(JsonSerializerOptions options)
    {
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
