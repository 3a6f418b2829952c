using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Machines;

/// <summary>The Unix socket at which host programs reach a VM's vsock.</summary>
/// <param name="Path">Where it is made; removed with the VM.</param>
internal sealed record PlannedVsock(string Path)
{
    private bool _made;

    /// <summary>Makes it.</summary>
    /// <exception cref="ProblemException">vsock-socket-taken, vsock-socket-refused.</exception>
    public SafeFileHandle Open()
    {
        try
        {
            var listener = UnixListener.Open(Path);
            _made = true;
            return listener;
        }
        catch (LinuxException e) when (e.Errno is Errno.Busy or Errno.Exists)
        {
            throw new ProblemException("vsock-socket-taken", "The name of the vsock's socket is taken",
                e.Errno == Errno.Busy ? $"Another program listens at {Path}." : $"{Path} exists and is no socket.", "Choose another path.", "vsock.socket", e);
        }
        catch (Exception e) when (e is LinuxException or ArgumentException)
        {
            throw new ProblemException("vsock-socket-refused", "The vsock's socket cannot be made", e.Message, "Choose a path of at most 107 bytes in a folder that exists.", "vsock.socket", e);
        }
    }

    /// <summary>Takes its name away, if it was made here.</summary>
    public void Remove()
    {
        if (_made)
            File.Delete(Path);
        _made = false;
    }
}
