using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>Listening Unix stream sockets for somebody else to accept from.</summary>
public static class UnixListener
{
    /// <summary>Makes one at a path, readable and writable by its owner only. A socket that nobody listens at any more is replaced; nothing else is.</summary>
    /// <exception cref="LinuxException"><see cref="Errno.Busy"/>: somebody listens there. <see cref="Errno.Exists"/>: something else has the name. Or what bind(2) says.</exception>
    /// <exception cref="ArgumentException">The path is longer than the kernel allows.</exception>
    public static SafeFileHandle Open(string path)
    {
        CheckFree(path);
        return UnixSocket.Listen(path).Handle;
    }

    private static void CheckFree(string path)
    {
        try
        {
            using var other = Files.Open(path, OpenMode.Read | OpenMode.NonBlocking);
            throw new LinuxException($"bind {path}", Errno.Exists);
        }
        catch (LinuxException e) when (e.Errno == Errno.NoEntry)
        {
            return;
        }
        // A socket cannot be opened.
        catch (LinuxException e) when (e.Errno == Errno.NoSuchAddress)
        {
        }
        try
        {
            using var live = UnixSocket.Connect(path);
            throw new LinuxException($"bind {path}", Errno.Busy);
        }
        // Its queue of connections is full.
        catch (LinuxException e) when (e.Errno == Errno.Again)
        {
            throw new LinuxException($"bind {path}", Errno.Busy);
        }
        catch (LinuxException e) when (e.Errno == Errno.ConnectionRefused)
        {
        }
    }
}
