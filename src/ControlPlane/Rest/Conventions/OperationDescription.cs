using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Writes into the description what the conventions add to each operation: headers, paging, filters, further answers, and its example.</summary>
internal static class OperationDescription
{
    /// <summary>The GET that gives the entity tag that a change takes; a member of the change's operation.</summary>
    public const string ResourceExtension = "x-resource";

    /// <summary>Which role an operation needs, and where; a member of each operation.</summary>
    public const string NeedsExtension = "x-needs";

    private const string Json = "application/json";
    private const string ProblemJson = "application/problem+json";
    private const string ExampleName = "example";

    public static Task DescribeAsync(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken ct)
    {
        var metadata = context.Description.ActionDescriptor.EndpointMetadata;
        var reads = context.Description.HttpMethod == "GET";
        operation.Parameters ??= [];
        operation.Responses ??= [];
        if (reads)
            Read(operation, metadata.OfType<ListPromise>().SingleOrDefault());
        else
            Change(operation, metadata.OfType<ChangePromise>().SingleOrDefault(), context.Document);
        if (metadata.OfType<NeedsPromise>().SingleOrDefault() is { } needs)
        {
            operation.Responses["403"] = Problem($"Needs the role {needs.Role.ToString().ToLowerInvariant()} {Where(needs.Reach)}.", context.Document);
            operation.AddExtension(NeedsExtension, new JsonNodeExtension(JsonSerializer.SerializeToNode(needs, JsonFormat.Options)!));
        }
        if (metadata.OfType<ExamplePromise>().SingleOrDefault() is { } example)
            Show(operation, example);
        return Task.CompletedTask;
    }

    private static string Where(Reach reach) => reach switch { Reach.Fleet => "in the fleet", Reach.Project => "in the project of what it is about", Reach.Anywhere => "in any project, or in the fleet" };

    private static void Read(OpenApiOperation operation, ListPromise? list)
    {
        if (list is { PagedByStore: false })
        {
            foreach (var filter in list.Filters)
            {
                var member = MemberFilter.Members(list.Item).First(m => m.Name == filter);
                operation.Parameters!.Add(Query(filter, $"Only those whose '{filter}' is this; repeated: one of these.", Schema(member.PropertyType)));
            }
            operation.Parameters!.Add(Query("limit", "At most this many, 1 to 1000; all without it. A 'Link' header with rel=\"next\" leads to the next page.", new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = "1000" }));
            operation.Parameters!.Add(Query("cursor", "Where the page begins, from the 'next' link of the page before.", Text()));
        }
        // A stream is no representation that could be thinned or tagged.
        if (operation.Responses!.TryGetValue("200", out var first) && first.Content?.ContainsKey(Json) != true)
            return;
        operation.Parameters!.Add(Query("fields", "Only these members, by commas; members of members by dots.", Text()));
        operation.Parameters!.Add(Header("If-None-Match", "Entity tag of an earlier answer: 304 if it still holds."));
        if (operation.Responses!.TryGetValue("200", out var ok) && ok is OpenApiResponse answer)
        {
            answer.Headers ??= new Dictionary<string, IOpenApiHeader>(StringComparer.Ordinal);
            answer.Headers["ETag"] = new OpenApiHeader { Description = "Strong entity tag.", Schema = Text() };
            if (list is not null)
                answer.Headers["Link"] = new OpenApiHeader { Description = "Where the next page is (RFC 8288); missing on the last.", Schema = Text() };
        }
        operation.Responses["304"] = new OpenApiResponse { Description = "Not Modified" };
    }

    private static void Change(OpenApiOperation operation, ChangePromise? change, OpenApiDocument? document)
    {
        operation.Parameters!.Add(Header("Idempotency-Key", "1 to 255 printable ASCII characters. A repeat with the same key within a day does nothing and is given the first answer."));
        operation.Responses!["422"] = Problem("The key was sent with another request before.", document);
        if (change is null)
            return;
        operation.Parameters!.Add(Header("If-Match", $"Entity tag of {change.Resource.Path}: 412, and nothing is changed, if it has changed meanwhile."));
        operation.Responses["412"] = Problem("The resource has changed.", document);
        operation.AddExtension(ResourceExtension, new JsonNodeExtension(JsonValue.Create($"/api/v1{change.Resource.Path}")));
    }

    private static void Show(OpenApiOperation operation, ExamplePromise example)
    {
        foreach (var parameter in operation.Parameters!.OfType<OpenApiParameter>())
        {
            var value = parameter.In == ParameterLocation.Path
                ? parameter.Name switch
                {
                    "hostId" => Example.HostId.ToString("D"),
                    "vmId" => Example.VmId.ToString("D"),
                    "operationId" => Example.OperationId.ToString("D"),
                    "tokenId" => Example.TokenId.ToString("D"),
                    "projectId" => Example.ProjectId.ToString("D"),
                    "webhookId" => Example.WebhookId.ToString("D"),
                    "personId" => Example.PersonId.ToString("D"),
                    "address" => Example.Pf,
                    _ => throw new InvalidOperationException($"The examples know no '{parameter.Name}'."),
                }
                : example.Query.FirstOrDefault(q => q.Name == parameter.Name).Value;
            if (value is not null)
                parameter.Example = JsonValue.Create(value);
        }
        if (example.Body is { } body && operation.RequestBody?.Content?.TryGetValue(Json, out var request) == true)
            request.Examples = Named(body);
        if (example.Answer is not { } answer)
            return;
        if (answer is string text)
        {
            operation.Responses!["200"].Content!.Single().Value.Examples = new Dictionary<string, IOpenApiExample>(StringComparer.Ordinal) { [ExampleName] = new OpenApiExample { Value = JsonValue.Create(text) } };
            return;
        }
        if (operation.Responses!.TryGetValue(example.Status.ToString(System.Globalization.CultureInfo.InvariantCulture), out var response) && response.Content?.TryGetValue(Json, out var media) == true)
            media.Examples = Named(answer);
    }

    private static Dictionary<string, IOpenApiExample> Named(object value) =>
        new(StringComparer.Ordinal) { [ExampleName] = new OpenApiExample { Value = JsonSerializer.SerializeToNode(value, value.GetType(), JsonFormat.Options) } };

    private static OpenApiResponse Problem(string description, OpenApiDocument? document) => new()
    {
        Description = description,
        Content = new Dictionary<string, OpenApiMediaType>(StringComparer.Ordinal) { [ProblemJson] = new OpenApiMediaType { Schema = new OpenApiSchemaReference("ProblemDetails", document) } },
    };

    private static OpenApiParameter Query(string name, string description, OpenApiSchema schema) => new() { Name = name, In = ParameterLocation.Query, Description = description, Schema = schema };

    private static OpenApiParameter Header(string name, string description) => new() { Name = name, In = ParameterLocation.Header, Description = description, Schema = Text() };

    private static OpenApiSchema Text() => new() { Type = JsonSchemaType.String };

    private static OpenApiSchema Schema(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(bool))
            return new OpenApiSchema { Type = JsonSchemaType.Boolean };
        if (type == typeof(Guid))
            return new OpenApiSchema { Type = JsonSchemaType.String, Format = "uuid" };
        if (type.IsEnum)
            return new OpenApiSchema { Type = JsonSchemaType.String, Enum = [.. Enum.GetNames(type).Select(n => (JsonNode)JsonValue.Create(JsonNamingPolicy.CamelCase.ConvertName(n)))] };
        return type.IsPrimitive ? new OpenApiSchema { Type = JsonSchemaType.Integer } : Text();
    }
}
