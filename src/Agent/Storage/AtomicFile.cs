using Exitless.Linux;

namespace Exitless.Agent.Storage;

/// <summary>Replaces a file so that a power cut leaves the old content or the new, never a part: a temporary file beside it, fsync, rename, fsync of the folder.</summary>
internal static class AtomicFile
{
    public const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public static void Write(string path, ReadOnlySpan<byte> content, UnixFileMode mode = OwnerOnly)
    {
        var folder = Path.GetDirectoryName(path)!;
        CreateFolder(folder);
        var temporary = path + ".new";
        File.Delete(temporary);   // of an agent that died here: its mode may be another
        using (var file = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = mode,
            BufferSize = 0,
        }))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        SyncFolder(folder);
    }

    public static void Delete(string path)
    {
        if (!File.Exists(path))
            return;
        File.Delete(path);
        SyncFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>Creates a folder that only root enters.</summary>
    public static void CreateFolder(string path)
    {
        if (!Directory.Exists(path))
            Directory.CreateDirectory(path, OwnerOnly | UnixFileMode.UserExecute);
    }

    private static void SyncFolder(string path)
    {
        using var folder = Folder.Open(path);
        RandomAccess.FlushToDisk(folder);
    }
}
