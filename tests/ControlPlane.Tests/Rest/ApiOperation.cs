using System.Text.Json.Nodes;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>An operation of the API, as its description has it.</summary>
internal sealed record ApiOperation(string Id, HttpMethod Method, string Path, JsonObject Json)
{
    private static readonly Lazy<JsonObject> Document = new(() => JsonNode.Parse(File.ReadAllText(Checkout.At("docs/openapi.json")))!.AsObject());

    /// <summary>All of them; another test proves that the file is what is served.</summary>
    public static IReadOnlyList<ApiOperation> All { get; } =
        [.. from path in Document.Value["paths"]!.AsObject() from method in path.Value!.AsObject()
            select new ApiOperation((string)method.Value!["operationId"]!, new HttpMethod(method.Key.ToUpperInvariant()), path.Key, method.Value!.AsObject())];

    public static ApiOperation Named(string id) => All.Single(o => o.Id == id);

    public bool Reads => Method == HttpMethod.Get;

    /// <summary>Whether its answer has no end of its own, and no tag.</summary>
    public bool Streams => Json["responses"]!["200"]?["content"]?["text/event-stream"] is not null;

    /// <summary>The path whose GET gives the entity tag; null: it makes something new.</summary>
    public string? Resource => (string?)Json["x-resource"];

    /// <summary>Which role it needs, and where.</summary>
    public (string Role, string Reach) Needs => ((string)Json["x-needs"]!["role"]!, (string)Json["x-needs"]!["reach"]!);

    public IReadOnlyList<JsonObject> Parameters => [.. (Json["parameters"]?.AsArray() ?? []).Select(p => p!.AsObject())];

    /// <summary>The status of success that is described.</summary>
    public int Status => int.Parse(Json["responses"]!.AsObject().Single(r => r.Key.StartsWith('2')).Key, System.Globalization.CultureInfo.InvariantCulture);

    public JsonNode? ExampleBody => Json["requestBody"]?["content"]?["application/json"]?["examples"]?["example"]?["value"];

    public JsonNode? ExampleAnswer => Json["responses"]![Status.ToString(System.Globalization.CultureInfo.InvariantCulture)]!["content"]?["application/json"]?["examples"]?["example"]?["value"];

    /// <summary>The schema of the body; null: there is none.</summary>
    public JsonObject? BodySchema => Json["requestBody"]?["content"]?["application/json"]?["schema"] is { } schema ? Resolved(schema.AsObject()) : null;

    public static JsonObject Resolved(JsonObject schema) =>
        (string?)schema["$ref"] is { } reference ? Document.Value["components"]!["schemas"]![reference.Split('/')[^1]]!.AsObject() : schema;

    /// <summary>Path and query of the example.</summary>
    public string ExampleTarget => PathWith(Path) + (Parameters.Where(p => (string)p["in"]! == "query" && p["example"] is not null).Select(p => $"{p["name"]}={Uri.EscapeDataString((string)p["example"]!)}").ToList() is { Count: > 0 } query ? $"?{string.Join('&', query)}" : "");

    /// <summary>A path with the example's ids in it.</summary>
    public string PathWith(string path) => Parameters.Where(p => (string)p["in"]! == "path").Aggregate(path, (p, one) => p.Replace($"{{{one["name"]}}}", (string)one["example"]!, StringComparison.Ordinal));

    public override string ToString() => $"{Method} {Path}";
}
