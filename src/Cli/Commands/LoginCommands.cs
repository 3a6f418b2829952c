using System.CommandLine;
using Exitless.Cli.Api;

namespace Exitless.Cli.Commands;

/// <summary><c>login</c> and <c>whoami</c>.</summary>
internal static class LoginCommands
{
    public static IEnumerable<Command> Make(Session session)
    {
        var login = new Command("login", "Tries server, token and authority, and keeps them in ~/.config/exitless/login.json for the commands that follow.");
        login.SetAction(async (parsed, ct) =>
        {
            var found = session.LoginOf(parsed);
            var kept = found with { Authority = found.Authority is { } file ? Path.GetFullPath(file) : null };
            using var api = new ApiClient(kept);
            var (me, _) = await api.GetAsync("/api/v1/me", ct);
            var place = kept.Keep(session.Environment);
            await session.PrinterOf(parsed).SayAsync($"Signed in to {kept.Server} as {me["name"]}; kept in {place}.");
            return 0;
        });
        yield return login;

        var whoami = new Command("whoami", "Shows who the token is, and what it may do.");
        session.Act(whoami, async (_, api, printer, ct) => await printer.OneAsync((await api.GetAsync("/api/v1/me", ct)).Body));
        yield return whoami;
    }
}
