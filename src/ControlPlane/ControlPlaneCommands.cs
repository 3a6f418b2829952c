using System.CommandLine;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Backup;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Identity;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane;

/// <summary>What a person with a shell on the control plane's machine can do beside the running control plane, or without it: they speak to the database themselves.</summary>
internal static class ControlPlaneCommands
{
    private const string CreateToken = "create-token";
    private const string CreateEnrolmentToken = "create-enrolment-token";
    private const string ResetPassword = "reset-password";
    private const string TakeBackup = "backup";
    private const string Restore = "restore";

    private static readonly Actor Shell = new($"shell user {Environment.UserName}");

    /// <summary>Whether the arguments ask for something else than to serve. A word that is no setting does, be it known or not: a mistyped command starts no control plane.</summary>
    public static bool IsCommand(string[] args) => args is ["--help" or "-h" or "-?" or "--version" or [not '-', ..], ..];

    public static async Task<int> RunAsync(WebApplication app, string[] args)
    {
        var database = app.Services.GetRequiredService<DatabaseServer>();
        // Settings may be given as arguments too; those are the configuration's.
        var own = args.Where(a => !a.StartsWith($"--{ControlPlaneOptions.Section}:", StringComparison.OrdinalIgnoreCase) && !a.StartsWith("--ConnectionStrings:", StringComparison.OrdinalIgnoreCase)).ToArray();
        var root = new RootCommand("The control plane of Exitless.") { TokenCommand(), EnrolmentCommand(), PasswordCommand(), BackupCommand(), RestoreCommand() };
        try
        {
            // Failures are told in our own words, without a stack.
            return await root.Parse(own).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (ProblemException e)
        {
            await Console.Error.WriteLineAsync($"{e.Title} {e.Detail} {e.Remedy}".TrimEnd());
            return 1;
        }

        async Task ReadyAsync(CancellationToken ct)
        {
            await database.StartAsync(claim: false, ct);
            await DatabaseStartup.MigrateAsync(app.Services, ct);
        }

        Command TokenCommand()
        {
            var name = new Option<string>("--name") { Required = true, Description = "What the token is called." };
            var days = new Option<int?>("--days") { Description = "How long it is valid; without it, until it is revoked." };
            var role = new Option<Role>("--role") { DefaultValueFactory = _ => Role.Admin, Description = "What it may do in the fleet: viewer, operator or admin." };
            var command = new Command(CreateToken, "Makes a bearer token for the REST API and prints it.") { name, days, role };
            command.SetAction(async (parsed, ct) =>
            {
                await ReadyAsync(ct);
                var token = await app.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(parsed.GetValue(name)!, parsed.GetValue(days), parsed.GetValue(role)), Shell, ct);
                await Console.Out.WriteLineAsync(token.Token);
                return 0;
            });
            return command;
        }

        Command EnrolmentCommand()
        {
            var label = new Option<string?>("--label") { Description = "What the token is for." };
            var minutes = new Option<int>("--minutes") { DefaultValueFactory = _ => 60, Description = "How long it can be used." };
            var command = new Command(CreateEnrolmentToken, "Makes a one-time token for a host, and prints it and the CA's fingerprint, a line each.") { label, minutes };
            command.SetAction(async (parsed, ct) =>
            {
                await ReadyAsync(ct);
                var token = await app.Services.GetRequiredService<IEnrolmentTokens>().CreateAsync(new CreateEnrolmentTokenRequest(parsed.GetValue(label), parsed.GetValue(minutes)), Shell, ct);
                await Console.Out.WriteLineAsync($"token: {token.Token}");
                await Console.Out.WriteLineAsync($"authority-fingerprint: {token.AuthorityFingerprint}");
                return 0;
            });
            return command;
        }

        Command PasswordCommand()
        {
            var user = new Option<string>("--user") { DefaultValueFactory = _ => People.Administrator, Description = "Whose password." };
            var command = new Command(ResetPassword, "Gives a person a new password and prints it. All their sessions end.") { user };
            command.SetAction(async (parsed, ct) =>
            {
                await ReadyAsync(ct);
                await using var scope = app.Services.CreateAsyncScope();
                var people = scope.ServiceProvider.GetRequiredService<People>();
                var name = parsed.GetValue(user)!;
                if ((name == People.Administrator ? await people.MakeFirstAsync(ct) : null) is { } first)
                {
                    await Console.Out.WriteLineAsync(first);
                    return 0;
                }
                if (await people.ResetPasswordAsync(name) is not { } password)
                    throw new ProblemException(ProblemKind.NotFound, "person-not-found", "Nobody has that name.", $"There is no user '{name}'.", $"The first user is '{People.Administrator}'.");
                await Console.Out.WriteLineAsync(password);
                return 0;
            });
            return command;
        }

        Command BackupCommand()
        {
            var to = new Option<string>("--to") { Required = true, Description = "The archive to write. Keep it as you keep a key: it holds the CA's." };
            var without = new Option<bool>("--without-metrics") { Description = "Leaves the metric rows out, which are most of a database." };
            var command = new Command(TakeBackup, "Writes all that makes this control plane into one archive, while it runs or not, and prints its size.") { to, without };
            command.SetAction(async (parsed, ct) =>
            {
                await ReadyAsync(ct);
                var size = await app.Services.GetRequiredService<BackupWriter>().WriteAsync(parsed.GetValue(to)!, !parsed.GetValue(without), Console.Error.WriteLine, ct);
                await Console.Out.WriteLineAsync($"{parsed.GetValue(to)}: {size} bytes");
                return 0;
            });
            return command;
        }

        Command RestoreCommand()
        {
            var from = new Option<string>("--from") { Required = true, Description = "An archive of 'backup'." };
            var replace = new Option<bool>("--replace") { Description = "Puts it in the place of the fleet and the CA that are there." };
            var command = new Command(Restore, "Restores a backup, all of it or nothing. The control plane must be stopped.") { from, replace };
            command.SetAction(async (parsed, ct) =>
            {
                await database.StartAsync(claim: true, ct);
                var (manifest, hosts) = await app.Services.GetRequiredService<Restorer>().RestoreAsync(parsed.GetValue(from)!, parsed.GetValue(replace), Console.Error.WriteLine, ct);
                await Console.Out.WriteLineAsync($"Restored as of {manifest.TakenAt:u}. Hosts that are to hand over what they were told since: {hosts}. Until each has connected, nothing can be asked of it.");
                return 0;
            });
            return command;
        }
    }
}
