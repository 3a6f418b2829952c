using System.Text.Json.Nodes;
using Exitless.Cli.Api;
using Exitless.Cli.Output;

namespace Exitless.Cli.Specs;

/// <summary>A document of a spec file: <c>kind</c>, <c>name</c>, the members of its request, and for a VM <c>host</c>, <c>project</c> by name and <c>run</c>.</summary>
/// <param name="Kind">vm or project.</param>
/// <param name="Name">Its name, which tells it from others.</param>
/// <param name="Members">All else.</param>
internal sealed record Spec(Kind Kind, string Name, JsonObject Members)
{
    private static readonly string[] Kinds = ["vm", "project"];

    /// <summary>The specs of a file; <c>-</c> is the standard input.</summary>
    public static async Task<IReadOnlyList<Spec>> ReadAsync(string file, CancellationToken ct)
    {
        string text;
        try
        {
            text = file == "-" ? await Console.In.ReadToEndAsync(ct) : await File.ReadAllTextAsync(file, ct);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FailureException(ExitCode.Usage, $"{file} cannot be read: {e.Message}", e);
        }
        var documents = Yaml.Read(text, file).SelectMany(d => d is JsonArray list ? list.Select(i => i) : [d]).ToList();
        if (documents.Count == 0)
            throw new FailureException(ExitCode.Usage, $"{file} holds no spec.");
        return [.. documents.Select((d, i) => Of(d, $"{file}, document {i + 1}"))];
    }

    private static Spec Of(JsonNode? node, string place)
    {
        if (node is not JsonObject members)
            throw new FailureException(ExitCode.Usage, $"{place}: a spec is a mapping with 'kind' and 'name'.");
        var kind = members["kind"]?.ToString();
        if (kind is null || !Kinds.Contains(kind))
            throw new FailureException(ExitCode.Usage, $"{place}: the kind '{kind}' is none of {string.Join(", ", Kinds)}.");
        if (members["name"]?.ToString() is not { Length: > 0 } name)
            throw new FailureException(ExitCode.Usage, $"{place}: it has no 'name'.");
        if (members["run"]?.ToString() is { } run && run is not ("running" or "stopped"))
            throw new FailureException(ExitCode.Usage, $"{place}: 'run' is '{run}', and may be running or stopped.");
        var rest = (JsonObject)members.DeepClone();
        rest.Remove("kind");
        // A name of digits is a name.
        rest["name"] = name;
        return new Spec(Kind.Named(kind), name, rest);
    }

    /// <summary>What a VM shall do; null: as it does.</summary>
    public string? Run => (string?)Members["run"];

    /// <summary>The members as a request has them: hosts and projects by their ids.</summary>
    public async Task<JsonObject> RequestAsync(ApiClient api, CancellationToken ct)
    {
        var request = (JsonObject)Members.DeepClone();
        request.Remove("run");
        foreach (var (member, kind) in ((string, string)[])[("host", "host"), ("project", "project")])
        {
            if (Kind.Name == "vm" && request.Remove(member, out var name))
                request[$"{member}Id"] = await Kind.Named(kind).IdAsync(api, name!.ToString(), ct);
        }
        return request;
    }
}
