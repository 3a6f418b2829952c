using System.CommandLine;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;
using Exitless.Cli.Output;

namespace Exitless.Cli.Commands;

/// <summary>What every command has: where to, as whom, and how to show it.</summary>
internal sealed class Session(TextWriter output, Func<string, string?> environment)
{
    public Option<string?> Server { get; } = new("--server") { Description = "The control plane's address; else EXITLESS_SERVER, else the one of 'login'.", Recursive = true };

    public Option<string?> Token { get; } = new("--token") { Description = "An API token; else EXITLESS_TOKEN, else the one of 'login'.", Recursive = true };

    public Option<string?> Authority { get; } = new("--authority") { Description = "PEM file of the control plane's CA; else EXITLESS_AUTHORITY, else the one of 'login'.", Recursive = true };

    public Option<Format> Format { get; } = new("--output", "-o") { Description = "table, json or yaml.", Recursive = true };

    public Func<string, string?> Environment { get; } = environment;

    public TextWriter Output { get; } = output;

    public Login LoginOf(ParseResult parsed) => Login.Find(parsed.GetValue(Server), parsed.GetValue(Token), parsed.GetValue(Authority), Environment);

    public Printer PrinterOf(ParseResult parsed) => new(Output, parsed.GetValue(Format));

    /// <summary>A command's work, with a client to do it by.</summary>
    public void Act(Command command, Func<ParseResult, ApiClient, Printer, CancellationToken, Task> work) => command.SetAction(async (parsed, ct) =>
    {
        using var api = new ApiClient(LoginOf(parsed));
        await work(parsed, api, PrinterOf(parsed), ct);
        return 0;
    });

    /// <summary>Waits for an operation's end, tells of it, and fails with it.</summary>
    public static async Task<JsonNode> EndAsync(ApiClient api, JsonNode operation, TimeSpan limit, CancellationToken ct)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (operation["finishedAt"] is null)
        {
            var left = limit - TimeProvider.System.GetElapsedTime(began);
            if (left <= TimeSpan.Zero)
                throw new FailureException(ExitCode.TimedOut, $"{operation["title"]} is not over after {limit.TotalSeconds:0} s: {operation["progress"]} Wait on with 'exitless wait {operation["id"]}'.");
            (operation, _) = await api.GetAsync($"{Kind.Named("operation").Path}/{operation["id"]}?wait={Math.Clamp((int)Math.Ceiling(left.TotalSeconds), 1, 60)}", ct);
        }
        if ((string?)operation["state"] != "done")
            throw new FailureException(ExitCode.OperationFailed, $"{operation["title"]}: {operation["state"]}. {operation["problem"]?["title"]} {operation["problem"]?["detail"]} {operation["problem"]?["remedy"]}".TrimEnd());
        return operation;
    }
}
