using System.Text.Json;

namespace Exitless.Cli.Api;

/// <summary>Which control plane, and by which token.</summary>
/// <param name="Server">Its address.</param>
/// <param name="Token">An API token.</param>
/// <param name="Authority">PEM file of the CA that its certificate is to come from; null: those that the machine trusts.</param>
internal sealed record Login(string Server, string? Token, string? Authority)
{
    public const string DefaultServer = "https://localhost:7443";

    /// <summary>Options come first, then the environment, then what <c>exitless login</c> kept.</summary>
    public static Login Find(string? server, string? token, string? authority, Func<string, string?> environment)
    {
        var kept = Read(environment);
        var named = server ?? environment("EXITLESS_SERVER");
        // A token goes to the server that it was kept for, and to no other.
        var same = named is null || named == kept?.Server;
        return new Login(named ?? kept?.Server ?? DefaultServer, token ?? environment("EXITLESS_TOKEN") ?? (same ? kept?.Token : null), authority ?? environment("EXITLESS_AUTHORITY") ?? (same ? kept?.Authority : null));
    }

    /// <summary>Keeps it where only its owner reads it.</summary>
    public string Keep(Func<string, string?> environment)
    {
        var file = File(environment);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        using (var stream = new FileStream(file, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
            JsonSerializer.Serialize(stream, this);
        return file;
    }

    private static Login? Read(Func<string, string?> environment)
    {
        var file = File(environment);
        if (!System.IO.File.Exists(file))
            return null;
        try
        {
            return JsonSerializer.Deserialize<Login>(System.IO.File.ReadAllText(file));
        }
        catch (JsonException e)
        {
            throw new FailureException(ExitCode.Usage, $"{file} cannot be read: {e.Message} Run 'exitless login' again.", e);
        }
    }

    private static string File(Func<string, string?> environment)
    {
        var folder = environment("XDG_CONFIG_HOME") is { Length: > 0 } named ? named : Path.Combine(environment("HOME") ?? ".", ".config");
        return Path.Combine(folder, "exitless", "login.json");
    }
}
