using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Exitless.ControlPlane.Api;
using Microsoft.Extensions.Primitives;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Filters items by a member that equals one of the query's values.</summary>
internal static class MemberFilter
{
    public static Func<object, bool> Make(Type item, string name, StringValues texts)
    {
        var member = Members(item).First(m => m.Name == name);
        var wanted = texts.Select(t => Value(member, t ?? "")).ToList();
        return o => wanted.Contains(member.Get!(o));
    }

    /// <summary>What a query asks of a member, as the member has it.</summary>
    public static IReadOnlyList<T> Values<T>(Type item, string name, StringValues texts)
    {
        var member = Members(item).First(m => m.Name == name);
        return [.. texts.Select(t => Value(member, t ?? "")).OfType<T>()];
    }

    public static IList<JsonPropertyInfo> Members(Type item) => JsonFormat.Options.GetTypeInfo(item).Properties;

    /// <summary>An enum by its name as JSON has it; null without one.</summary>
    public static T? Named<T>(string field, string? text)
        where T : struct, Enum
    {
        if (text is null)
            return null;
        return Array.Find(Enum.GetValues<T>(), v => JsonNamingPolicy.CamelCase.ConvertName(v.ToString()) == text) is var found && JsonNamingPolicy.CamelCase.ConvertName(found.ToString()) == text
            ? found
            : throw Wrong(field, text, typeof(T));
    }

    private static object? Value(JsonPropertyInfo member, string text)
    {
        var type = Nullable.GetUnderlyingType(member.PropertyType) ?? member.PropertyType;
        if (type == typeof(string))
            return text;
        try
        {
            return JsonSerializer.Deserialize(type.IsPrimitive ? text : JsonSerializer.Serialize(text), type, JsonFormat.Options);
        }
        catch (JsonException)
        {
            throw Wrong(member.Name, text, type);
        }
    }

    private static ProblemException Wrong(string field, string text, Type type)
    {
        var known = type.IsEnum ? string.Join(", ", Enum.GetNames(type).Select(JsonNamingPolicy.CamelCase.ConvertName)) : type == typeof(bool) ? "true, false" : type == typeof(Guid) ? "a UUID" : "a number";
        return ProblemException.ForField(ProblemKind.Invalid, "filter-invalid", "The list cannot be filtered so.", field, $"'{text}' is no value of '{field}'.", $"Ask for: {known}.");
    }
}
