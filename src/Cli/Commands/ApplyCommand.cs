using System.CommandLine;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;
using Exitless.Cli.Output;
using Exitless.Cli.Specs;

namespace Exitless.Cli.Commands;

/// <summary><c>apply</c>: brings about what specs say; what is so already is left as it is.</summary>
internal static class ApplyCommand
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    public static Command Make(Session session)
    {
        var file = new Option<string>("--file", "-f") { Required = true, Description = "Specs in YAML or JSON; - is the standard input." };
        var dryRun = new Option<bool>("--dry-run") { Description = "Show what would change, and change nothing." };
        var replace = new Option<bool>("--replace") { Description = "Stop and delete a VM that differs in what cannot be changed, and make it anew." };
        var apply = new Command("apply", "Makes what specs say true, and waits for it. Leaves with 0 also when there was nothing to do.") { file, dryRun, replace };
        session.Act(apply, async (parsed, api, printer, ct) =>
        {
            var specs = await Spec.ReadAsync(parsed.GetRequiredValue(file), ct);
            foreach (var spec in specs)
                await ApplyAsync(spec, api, printer, parsed.GetValue(dryRun), parsed.GetValue(replace), ct);
        });
        return apply;
    }

    private static async Task ApplyAsync(Spec spec, ApiClient api, Printer printer, bool dryRun, bool replace, CancellationToken ct)
    {
        var request = await RequestAsync(spec, api, dryRun, ct);
        var (present, tag) = await PresentAsync(spec, api, ct);
        var plan = Plan.Make(request, spec.Run, present, changeable: spec.Kind.Name == "project");
        await ShowAsync(spec, plan, printer);
        if (plan.Step == Step.Replace && !replace)
            throw new FailureException(ExitCode.Conflict, $"{spec.Kind.Name} {spec.Name} differs in what cannot be changed: {string.Join(", ", plan.Differences.Select(d => d.Member))}. Give --replace to have it made anew.");
        if (dryRun)
            return;
        var path = present is null ? spec.Kind.Path : $"{spec.Kind.Path}/{present["id"]}";
        switch (plan.Step)
        {
            case Step.Create:
                await CreateAsync(spec, request, api, ct);
                break;
            case Step.Change:
                await api.ChangeAsync(HttpMethod.Put, path, request, tag, ct);
                break;
            case Step.Replace:
                if ((string?)present!["state"] is "running" or "starting")
                    await EndAsync(api, HttpMethod.Post, $"{path}/actions/stop", ct);
                await EndAsync(api, HttpMethod.Delete, path, ct);
                await CreateAsync(spec, request, api, ct);
                break;
            case Step.Start:
                await EndAsync(api, HttpMethod.Post, $"{path}/actions/start", ct);
                break;
            case Step.Stop:
                await EndAsync(api, HttpMethod.Post, $"{path}/actions/stop", ct);
                break;
        }
    }

    private static async Task<JsonObject> RequestAsync(Spec spec, ApiClient api, bool dryRun, CancellationToken ct)
    {
        try
        {
            return await spec.RequestAsync(api, ct);
        }
        catch (FailureException e) when (dryRun && e.Code == ExitCode.NotFound && spec.Members["project"] is { } project)
        {
            // An earlier document of the file may be about to make it.
            var request = await (spec with { Members = Without(spec.Members, "project") }).RequestAsync(api, ct);
            request["projectId"] = project.DeepClone();
            return request;
        }
    }

    private static JsonObject Without(JsonObject members, string name)
    {
        var rest = (JsonObject)members.DeepClone();
        rest.Remove(name);
        return rest;
    }

    private static async Task<(JsonObject? Present, EntityTagHeaderValue? Tag)> PresentAsync(Spec spec, ApiClient api, CancellationToken ct)
    {
        try
        {
            var (body, tag) = await api.GetAsync(await spec.Kind.FindAsync(api, spec.Name, ct), ct);
            return ((JsonObject)body, tag);
        }
        catch (FailureException e) when (e.Code == ExitCode.NotFound)
        {
            return (null, null);
        }
    }

    private static async Task CreateAsync(Spec spec, JsonObject request, ApiClient api, CancellationToken ct)
    {
        var body = (JsonObject)request.DeepClone();
        if (spec.Kind.Name == "vm")
            body["start"] = spec.Run == "running";
        var made = (await api.ChangeAsync(HttpMethod.Post, spec.Kind.Path, body, null, ct))!;
        if (spec.Kind.Name == "vm")
            await Session.EndAsync(api, made, Limit, ct);
    }

    private static async Task EndAsync(ApiClient api, HttpMethod method, string path, CancellationToken ct) => await Session.EndAsync(api, (await api.ChangeAsync(method, path, null, null, ct))!, Limit, ct);

    private static async Task ShowAsync(Spec spec, Plan plan, Printer printer)
    {
        if (!printer.ForPeople)
        {
            await printer.RawAsync(new JsonObject
            {
                ["kind"] = spec.Kind.Name,
                ["name"] = spec.Name,
                ["step"] = plan.Step.ToString().ToLowerInvariant(),
                ["differences"] = new JsonArray([.. plan.Differences.Select(d => (JsonNode)new JsonObject { ["member"] = d.Member, ["is"] = d.Is?.DeepClone(), ["shall"] = d.Shall?.DeepClone() })]),
            });
            return;
        }
        await printer.SayAsync($"{spec.Kind.Name} {spec.Name}: {plan.Step.ToString().ToLowerInvariant()}");
        foreach (var difference in plan.Differences)
        {
            if (difference.Is is not null)
                await printer.SayAsync($"  - {difference.Member}: {difference.Is.ToJsonString()}");
            await printer.SayAsync($"  + {difference.Member}: {difference.Shall?.ToJsonString() ?? "null"}");
        }
    }
}
