using System.Diagnostics;

namespace Exitless.Lab.Machine;

/// <summary>
/// Ends QEMU when this process ends without a word (SIGKILL, a crash): a shell waits on a pipe from us, and kills QEMU when
/// the pipe closes before a line came.
/// </summary>
internal sealed class Lifeline : IDisposable
{
    private readonly Process _watcher;

    public Lifeline(int processId)
    {
        var start = new ProcessStartInfo("/bin/sh", ["-c", "trap '' INT TERM HUP; read -r line || kill -KILL \"$1\"", "sh", $"{processId}"]) { UseShellExecute = false, RedirectStandardInput = true };
        _watcher = Process.Start(start)!;
    }

    /// <summary>Lets go, once QEMU has ended.</summary>
    public void Dispose()
    {
        try
        {
            _watcher.StandardInput.WriteLine("ended");
            _watcher.StandardInput.Close();
            _watcher.WaitForExit(TimeSpan.FromSeconds(5));
        }
        catch (IOException)
        {
            // Somebody ended the watcher; there is nothing left to watch.
        }
        _watcher.Dispose();
    }
}
