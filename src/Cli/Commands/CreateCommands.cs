using System.CommandLine;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;

namespace Exitless.Cli.Commands;

/// <summary><c>create</c> and what can be made by it.</summary>
internal static class CreateCommands
{
    private static readonly string[] Roles = ["viewer", "operator", "admin"];

    public static IEnumerable<Command> Make(Session session)
    {
        yield return new Command("create", "Makes a VM, a project, a token, an enrolment token, a person or a webhook.") { Vm(session), Project(session), Token(session), EnrolmentToken(session), Person(session), Webhook(session) };
    }

    private static Command Vm(Session session)
    {
        var name = new Argument<string>("name");
        var host = new Option<string>("--host") { Required = true, Description = "Name or id of the host." };
        var project = new Option<string?>("--project") { Description = "Name or id of the project." };
        var kernel = new Option<string>("--kernel") { Required = true, Description = "A kernel image on the host." };
        var initrd = new Option<string?>("--initrd") { Description = "An initrd on the host." };
        var commandLine = new Option<string?>("--command-line") { Description = "The kernel's command line." };
        var vcpus = new Option<int>("--vcpus") { DefaultValueFactory = _ => 1 };
        var memory = new Option<int>("--memory") { DefaultValueFactory = _ => 512, Description = "MiB." };
        var vfs = new Option<string[]>("--vf") { Description = "PCI address of a VF, with =MAC to give it one; repeated for more." };
        var start = new Option<bool>("--start") { Description = "Start it." };
        var wait = ChangeCommands.WaitOption();
        var command = new Command("vm", "Makes a VM.") { name, host, project, kernel, initrd, commandLine, vcpus, memory, vfs, start, wait };
        session.Act(command, async (parsed, api, printer, ct) =>
        {
            var request = new JsonObject
            {
                ["name"] = parsed.GetRequiredValue(name),
                ["hostId"] = await Kind.Named("host").IdAsync(api, parsed.GetRequiredValue(host), ct),
                ["kernel"] = parsed.GetRequiredValue(kernel),
                ["initrd"] = parsed.GetValue(initrd),
                ["commandLine"] = parsed.GetValue(commandLine),
                ["vcpus"] = parsed.GetValue(vcpus),
                ["memoryMib"] = parsed.GetValue(memory),
                ["devices"] = new JsonArray([.. (parsed.GetValue(vfs) ?? []).Select(v => v.Split('=', 2)).Select(p => (JsonNode)new JsonObject { ["address"] = p[0], ["mac"] = p.Length > 1 ? p[1] : null })]),
                ["start"] = parsed.GetValue(start),
                ["projectId"] = parsed.GetValue(project) is { } named ? await Kind.Named("project").IdAsync(api, named, ct) : null,
            };
            await ChangeCommands.FollowAsync(api, printer, (await api.ChangeAsync(HttpMethod.Post, Kind.Named("vm").Path, request, null, ct))!, parsed.GetValue(wait), ct);
        });
        return command;
    }

    private static Command Project(Session session)
    {
        var name = new Argument<string>("name");
        var (vms, vcpus, memory, vfs) = (new Option<int?>("--vms"), new Option<int?>("--vcpus"), new Option<int?>("--memory"), new Option<int?>("--vfs"));
        var command = new Command("project", "Makes a project, with a quota if one is given.") { name, vms, vcpus, memory, vfs };
        session.Act(command, async (parsed, api, printer, ct) =>
        {
            var quota = new JsonObject { ["vms"] = parsed.GetValue(vms), ["vcpus"] = parsed.GetValue(vcpus), ["memoryMib"] = parsed.GetValue(memory), ["vfs"] = parsed.GetValue(vfs) };
            await MadeAsync(api, printer, "project", new JsonObject { ["name"] = parsed.GetRequiredValue(name), ["quota"] = quota }, ct);
        });
        return command;
    }

    private static Command Token(Session session)
    {
        var name = new Argument<string>("name");
        var days = new Option<int?>("--days") { Description = "How long it is valid; without it, until it is deleted." };
        var (role, project) = RoleOptions();
        var command = new Command("token", "Makes an API token; its secret is shown this once.") { name, days, role, project };
        session.Act(command, async (parsed, api, printer, ct) => await MadeAsync(api, printer, "token", new JsonObject
        {
            ["name"] = parsed.GetRequiredValue(name),
            ["days"] = parsed.GetValue(days),
            ["role"] = parsed.GetRequiredValue(role),
            ["projectId"] = parsed.GetValue(project) is { } named ? await Kind.Named("project").IdAsync(api, named, ct) : null,
        }, ct));
        return command;
    }

    private static Command EnrolmentToken(Session session)
    {
        var label = new Option<string?>("--label") { Description = "What it is for." };
        var minutes = new Option<int>("--minutes") { DefaultValueFactory = _ => 60, Description = "How long it can be used." };
        var command = new Command("enrolment-token", "Makes a one-time token for a host; its secret is shown this once.") { label, minutes };
        session.Act(command, (parsed, api, printer, ct) => MadeAsync(api, printer, "enrolment-token", new JsonObject { ["label"] = parsed.GetValue(label), ["minutes"] = parsed.GetValue(minutes) }, ct));
        return command;
    }

    private static Command Person(Session session)
    {
        var name = new Argument<string>("name");
        var (role, project) = RoleOptions();
        var command = new Command("person", "Makes a person; the password is shown this once.") { name, role, project };
        session.Act(command, async (parsed, api, printer, ct) =>
        {
            var grant = new JsonObject { ["role"] = parsed.GetRequiredValue(role), ["projectId"] = parsed.GetValue(project) is { } named ? await Kind.Named("project").IdAsync(api, named, ct) : null };
            await MadeAsync(api, printer, "person", new JsonObject { ["name"] = parsed.GetRequiredValue(name), ["grants"] = new JsonArray(grant) }, ct);
        });
        return command;
    }

    private static Command Webhook(Session session)
    {
        var (name, url) = (new Argument<string>("name"), new Argument<string>("url"));
        var kinds = new Option<string[]>("--kind") { Description = "Of this kind of events only; repeated for more." };
        var command = new Command("webhook", "Makes a webhook; the secret that its posts are signed with is shown this once.") { name, url, kinds };
        session.Act(command, (parsed, api, printer, ct) => MadeAsync(api, printer, "webhook", new JsonObject
        {
            ["name"] = parsed.GetRequiredValue(name),
            ["url"] = parsed.GetRequiredValue(url),
            ["kinds"] = new JsonArray([.. (parsed.GetValue(kinds) ?? []).Select(k => (JsonNode)k)]),
        }, ct));
        return command;
    }

    private static (Option<string> Role, Option<string?> Project) RoleOptions()
    {
        var role = new Option<string>("--role") { Required = true, Description = "viewer, operator or admin." };
        role.AcceptOnlyFromAmong(Roles);
        return (role, new Option<string?>("--project") { Description = "In this project only, by name or id; without it, in the fleet." });
    }

    private static async Task MadeAsync(ApiClient api, Output.Printer printer, string kind, JsonObject request, CancellationToken ct) =>
        await printer.OneAsync((await api.ChangeAsync(HttpMethod.Post, Kind.Named(kind).Path, request, null, ct))!);
}
