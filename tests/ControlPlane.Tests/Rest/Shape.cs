using System.Text.Json;
using System.Text.Json.Nodes;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>Compares two JSON values by what they are made of, not by what they say.</summary>
internal static class Shape
{
    public static void Compare(JsonNode? shown, JsonNode? real, string path, string context)
    {
        // Null stands for what may be missing, in either.
        if (shown is null || real is null)
            return;
        Assert.True(Kind(shown) == Kind(real), $"{path} is shown as {Kind(shown)} and is {Kind(real)}. {context}");
        switch (shown)
        {
            case JsonObject members:
                Assert.True(members.Select(m => m.Key).SequenceEqual(real.AsObject().Select(m => m.Key), StringComparer.Ordinal), $"{path} is shown with {string.Join(", ", members.Select(m => m.Key))} and has {string.Join(", ", real.AsObject().Select(m => m.Key))}. {context}");
                foreach (var (name, value) in members)
                    Compare(value, real[name], $"{path}.{name}", context);
                break;
            case JsonArray { Count: > 0 } items when real.AsArray().Count > 0:
                Compare(items[0], real[0], $"{path}[0]", context);
                break;
        }
    }

    private static JsonValueKind Kind(JsonNode node) => node.GetValueKind() is JsonValueKind.False ? JsonValueKind.True : node.GetValueKind();
}
