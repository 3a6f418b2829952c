using System.CommandLine;
using Exitless.Cli.Api;

namespace Exitless.Cli.Commands;

/// <summary>The whole command line.</summary>
internal static class CommandLine
{
    /// <summary>Runs a command.</summary>
    /// <param name="args">Its words.</param>
    /// <param name="output">Where answers go.</param>
    /// <param name="error">Where failures go.</param>
    /// <param name="environment">Reads a variable.</param>
    /// <param name="ct">Ends it.</param>
    /// <returns>The exit code, one of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error, Func<string, string?> environment, CancellationToken ct)
    {
        var session = new Session(output, environment);
        RootCommand root = new("Exitless from the command line.") { session.Server, session.Token, session.Authority, session.Format };
        foreach (var command in LoginCommands.Make(session).Concat(ReadCommands.Make(session)).Concat(CreateCommands.Make(session)).Concat(ChangeCommands.Make(session)).Append(ApplyCommand.Make(session)).Append(PlaceCommand.Make(session)).Concat(CompletionCommand.Make(session, () => root)))
            root.Add(command);
        var parsed = root.Parse(args);
        try
        {
            var code = await parsed.InvokeAsync(new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false }, ct);
            return parsed.Errors.Count > 0 ? (int)ExitCode.Usage : code;
        }
        catch (FailureException e)
        {
            await error.WriteLineAsync($"exitless: {e.Message}");
            return (int)e.Code;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync("exitless: interrupted.");
            return (int)ExitCode.TimedOut;
        }
    }
}
