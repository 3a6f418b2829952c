namespace Exitless.ControlPlane.Database;

/// <summary>The user that the private PostgreSQL runs as. It refuses to run as root, so root hands it to <c>postgres</c> or, where that is missing, to <c>nobody</c>.</summary>
internal sealed record PostgresAccount(string User, int Uid, int Gid, bool Switch)
{
    public static PostgresAccount Choose()
    {
        if (!Environment.IsPrivilegedProcess)
            return new PostgresAccount(Environment.UserName, -1, -1, Switch: false);
        var accounts = File.ReadLines("/etc/passwd").Select(l => l.Split(':')).Where(f => f.Length >= 4)
            .ToLookup(f => f[0], f => (Uid: f[2], Gid: f[3]), StringComparer.Ordinal);
        foreach (var user in new[] { "postgres", "nobody" })
        {
            foreach (var (uid, gid) in accounts[user])
                return new PostgresAccount(user, int.Parse(uid), int.Parse(gid), Switch: true);
        }
        throw new StartException("The control plane runs as root, and neither the user 'postgres' nor 'nobody' exists to run its database.", "Add one, or run the control plane as an ordinary user.");
    }

    /// <summary>Runs a program as this user.</summary>
    public Task<(int Code, string Output)> RunAsync(string file, IEnumerable<string> arguments, CancellationToken ct) => Switch
        ? ShortProgram.RunAsync("setpriv", [$"--reuid={Uid}", $"--regid={Gid}", "--clear-groups", "--inh-caps=-all", "--", file, .. arguments], ct)
        : ShortProgram.RunAsync(file, arguments, ct);

    /// <summary>Makes a folder that only this user (and root) can enter.</summary>
    public async Task MakeFolderAsync(string path, CancellationToken ct)
    {
        if (!Switch)
        {
            Directory.CreateDirectory(path);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return;
        }
        var (code, output) = await ShortProgram.RunAsync("install", ["-d", "-m", "700", "-o", $"{Uid}", "-g", $"{Gid}", path], ct);
        if (code != 0)
            throw new StartException($"The folder '{path}' could not be made for user {User}: {output}.", "Check the permissions of its parent.");
    }

    /// <summary>Whether this user can reach a folder; tried, because modes, ACLs and mounts all have a say.</summary>
    public async Task<bool> CanEnterAsync(string path, CancellationToken ct)
    {
        if (!Switch)
            return true;
        var (code, _) = await RunAsync("test", ["-x", path], ct);
        return code == 0;
    }
}
