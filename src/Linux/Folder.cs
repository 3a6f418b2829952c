using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>A folder, opened so that a rename in it can be made durable with fsync(2); .NET opens files only.</summary>
public static partial class Folder
{
    private const int DirectoryReadOnlyCloseOnExec = 0x10000 | 0x80000;   // O_DIRECTORY | O_CLOEXEC

    /// <summary>Opens a folder.</summary>
    /// <exception cref="Win32Exception">The errno of open(2).</exception>
    public static SafeFileHandle Open(string path)
    {
        var handle = OpenFile(path, DirectoryReadOnlyCloseOnExec);
        return handle >= 0 ? new SafeFileHandle(handle, ownsHandle: true) : throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags);
}
