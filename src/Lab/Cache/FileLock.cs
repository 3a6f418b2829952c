namespace Exitless.Lab.Cache;

/// <summary>A lock between processes, held by an open file (flock(2)); the kernel frees it when its holder ends, however it ends.</summary>
internal static class FileLock
{
    /// <summary>Takes the lock at once, or returns null when another process holds it.</summary>
    public static FileStream? TryTake(string path)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException) when (File.Exists(path))
        {
            return null;
        }
    }

    /// <summary>Takes the lock, waiting for as long as it takes.</summary>
    public static async Task<FileStream> TakeAsync(string path, Action waiting, CancellationToken cancel)
    {
        if (TryTake(path) is { } free)
            return free;
        waiting();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (await timer.WaitForNextTickAsync(cancel))
        {
            if (TryTake(path) is { } taken)
                return taken;
        }
        throw new OperationCanceledException(cancel);
    }
}
