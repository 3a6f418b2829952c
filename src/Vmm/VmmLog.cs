using System.Text;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm;

/// <summary>The few lines that a VMM process has to say, on standard error: the agent sends that to the VM's log file.</summary>
internal static class VmmLog
{
    public static void Write(string line)
    {
        using var error = new SafeFileHandle(2, ownsHandle: false);
        try
        {
            Files.WriteAll(error, Encoding.UTF8.GetBytes(line + "\n"));
        }
        catch (LinuxException)
        {
            // Nobody listens; there is nowhere else to say it.
        }
    }
}
