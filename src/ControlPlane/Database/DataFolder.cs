namespace Exitless.ControlPlane.Database;

/// <summary>The folder with everything that makes this control plane itself.</summary>
internal static class DataFolder
{
    /// <summary>Makes it, closed to others; root's may be passed through, because its database server is another user.</summary>
    public static void Make(string path)
    {
        try
        {
            if (!Directory.Exists(path))
                Directory.CreateDirectory(path);
            var mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
            if (Environment.IsPrivilegedProcess)
                mode |= UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
            File.SetUnixFileMode(path, mode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"The data folder '{path}' cannot be used: {e.Message}", "Give another by Exitless__DataFolder, or correct its permissions.", e);
        }
    }

    /// <summary>Writes a secret so that it is whole or not there at all, and nobody else can read it at any moment.</summary>
    public static void WriteSecret(string path, string content)
    {
        var draft = path + ".new";
        File.Delete(draft);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        using (var stream = new FileStream(draft, options))
        {
            using var writer = new StreamWriter(stream);
            writer.Write(content);
            writer.Flush();
            stream.Flush(flushToDisk: true);
        }
        File.Move(draft, path, overwrite: true);
    }
}

/// <summary>One control plane a data folder: an advisory lock (flock(2)) that ends with its holder.</summary>
internal sealed class DataFolderLock : IDisposable
{
    private readonly FileStream _file;

    private DataFolderLock(FileStream file) => _file = file;

    public static DataFolderLock Take(string dataFolder) => TryTake(dataFolder) ?? throw new StartException(
        $"Another control plane uses the data folder '{dataFolder}'.", "Stop it first, or give this one a folder of its own by Exitless__DataFolder.");

    public static DataFolderLock? TryTake(string dataFolder)
    {
        try
        {
            return new DataFolderLock(new FileStream(Path.Combine(dataFolder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException)
        {
            return null;
        }
    }

    public void Dispose() => _file.Dispose();
}
