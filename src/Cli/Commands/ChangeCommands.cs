using System.CommandLine;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;
using Exitless.Cli.Output;

namespace Exitless.Cli.Commands;

/// <summary><c>start</c>, <c>stop</c>, <c>force-off</c>, <c>delete</c>, <c>cancel</c> and <c>wait</c>.</summary>
internal static class ChangeCommands
{
    private const int DefaultWait = 300;

    public static IEnumerable<Command> Make(Session session)
    {
        yield return VmAction(session, "start", "Starts a VM.");
        yield return VmAction(session, "stop", "Presses a VM's power button, and ends it when its stop time is over.");
        yield return VmAction(session, "force-off", "Ends a VM at once.");

        var kind = ReadCommands.KindArgument("vm", "project", "person", "token", "enrolment-token", "webhook");
        var name = new Argument<string>("name") { Description = "Its name or id." };
        var wait = WaitOption();
        var delete = new Command("delete", "Deletes one.") { kind, name, wait };
        session.Act(delete, async (parsed, api, printer, ct) =>
        {
            var path = await Kind.Named(parsed.GetRequiredValue(kind)).FindAsync(api, parsed.GetRequiredValue(name), ct);
            if (await api.ChangeAsync(HttpMethod.Delete, path, null, null, ct) is { } operation)
                await FollowAsync(api, printer, operation, parsed.GetValue(wait), ct);
            else
                await printer.SayAsync("Deleted.");
        });
        yield return delete;

        var cancelled = new Argument<string>("operation") { Description = "Its id." };
        var cancel = new Command("cancel", "Takes an operation back, as long as that is possible.") { cancelled };
        session.Act(cancel, async (parsed, api, printer, ct) =>
        {
            var path = await Kind.Named("operation").FindAsync(api, parsed.GetRequiredValue(cancelled), ct);
            await printer.OneAsync((await api.ChangeAsync(HttpMethod.Post, $"{path}/actions/cancel", null, null, ct))!);
        });
        yield return cancel;

        var awaited = new Argument<string>("operation") { Description = "Its id." };
        var timeout = new Option<int>("--timeout") { DefaultValueFactory = _ => DefaultWait, Description = "Seconds." };
        var waits = new Command("wait", "Waits until an operation has ended; leaves with 0 when it is done, 6 when it failed, 7 when the time is over.") { awaited, timeout };
        session.Act(waits, async (parsed, api, printer, ct) =>
        {
            var (operation, _) = await api.GetAsync(await Kind.Named("operation").FindAsync(api, parsed.GetRequiredValue(awaited), ct), ct);
            await printer.OneAsync(await Session.EndAsync(api, operation, TimeSpan.FromSeconds(parsed.GetValue(timeout)), ct));
        });
        yield return waits;
    }

    /// <summary><c>--wait</c>, alone or with seconds.</summary>
    public static Option<int?> WaitOption() => new("--wait") { Arity = ArgumentArity.ZeroOrOne, Description = $"Wait for the end, this many seconds; {DefaultWait} if no number follows.", CustomParser = r => r.Tokens.Count == 0 ? DefaultWait : Seconds(r) };

    /// <summary>Shows an operation, at its end if that was asked.</summary>
    public static async Task FollowAsync(ApiClient api, Printer printer, JsonNode operation, int? wait, CancellationToken ct)
    {
        if (wait is { } seconds)
            operation = await Session.EndAsync(api, operation, TimeSpan.FromSeconds(seconds), ct);
        if (printer.ForPeople)
            await printer.SayAsync($"{operation["title"]}: {operation["state"]} (operation {operation["id"]})");
        else
            await printer.RawAsync(operation);
    }

    private static int? Seconds(System.CommandLine.Parsing.ArgumentResult result)
    {
        if (int.TryParse(result.Tokens[0].Value, out var seconds) && seconds >= 0)
            return seconds;
        result.AddError($"'{result.Tokens[0].Value}' is no number of seconds.");
        return null;
    }

    private static Command VmAction(Session session, string action, string description)
    {
        var vm = new Argument<string>("vm") { Description = "Its name or id." };
        var wait = WaitOption();
        var command = new Command(action, description) { vm, wait };
        session.Act(command, async (parsed, api, printer, ct) =>
        {
            var path = await Kind.Named("vm").FindAsync(api, parsed.GetRequiredValue(vm), ct);
            await FollowAsync(api, printer, (await api.ChangeAsync(HttpMethod.Post, $"{path}/actions/{action}", null, null, ct))!, parsed.GetValue(wait), ct);
        });
        return command;
    }
}
