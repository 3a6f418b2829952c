using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>How <see cref="Files.Open"/> opens; values of fcntl.h. Close-on-exec is always set.</summary>
[Flags]
public enum OpenMode
{
    /// <summary>Reading only.</summary>
    Read = 0,
    /// <summary>Writing only.</summary>
    Write = 1,
    /// <summary>Reading and writing.</summary>
    ReadWrite = 2,
    /// <summary>Create the file if it is missing.</summary>
    Create = 0x40,
    /// <summary>Of a block device, without <see cref="Create"/>: only if nobody has claimed it, as mounts, volumes and pools do (open(2), O_EXCL). Refused with EBUSY.</summary>
    Exclusive = 0x80,
    /// <summary>Cut the file to nothing.</summary>
    Truncate = 0x200,
    /// <summary>Write at the end.</summary>
    Append = 0x400,
    /// <summary>Never wait.</summary>
    NonBlocking = 0x800,
}

/// <summary>open, read, write, pread, pwrite and their kin. Failures throw <see cref="LinuxException"/>.</summary>
public static partial class Files
{
    private const int CloseOnExec = 0x80000;
    private const int DuplicateCloseOnExec = 1030;
    private const int SeekEnd = 2;

    /// <summary>Opens a file or a device.</summary>
    public static SafeFileHandle Open(string path, OpenMode mode, int permissions = 0) =>
        TryOpen(path, mode, out var error, permissions) ?? throw new LinuxException($"open {path}", error);

    /// <summary>As <see cref="Open"/>, but a failure gives null and the error number.</summary>
    public static SafeFileHandle? TryOpen(string path, OpenMode mode, out int error, int permissions = 0)
    {
        int descriptor;
        do
        {
            descriptor = OpenNative(path, (int)mode | CloseOnExec, permissions);
            error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.Interrupted);
        return descriptor < 0 ? null : Own(descriptor);
    }

    /// <summary>Reads at most a buffer; 0 at the end of the file.</summary>
    public static int Read(SafeHandle file, Span<byte> buffer) => TryRead(file, buffer, out var error) is var count and >= 0 ? count : throw new LinuxException("read", error);

    /// <summary>As <see cref="Read"/>, but a failure gives -1 and the error number.</summary>
    public static int TryRead(SafeHandle file, Span<byte> buffer, out int error)
    {
        nint count;
        do
        {
            count = ReadNative(file, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.Interrupted);
        return (int)count;
    }

    /// <summary>Reads at most a buffer from an offset; 0 at the end of the file.</summary>
    public static int ReadAt(SafeHandle file, Span<byte> buffer, long offset) =>
        TryReadAt(file, buffer, offset, out var error) is var count and >= 0 ? count : throw new LinuxException($"pread at {offset:#,0}", error);

    /// <summary>Fills a buffer from an offset.</summary>
    /// <exception cref="EndOfStreamException">The file is shorter.</exception>
    public static void ReadExactlyAt(SafeHandle file, Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            var count = ReadAt(file, buffer, offset);
            if (count == 0)
                throw new EndOfStreamException($"The file ends at {offset:#,0} bytes; {buffer.Length:#,0} more were expected.");
            buffer = buffer[count..];
            offset += count;
        }
    }

    /// <summary>Cuts a file off, or extends it with zeros.</summary>
    public static void SetSize(SafeHandle file, long bytes)
    {
        if (TruncateNative(file, bytes) < 0)
            throw LinuxException.FromLastError($"ftruncate to {bytes:#,0}");
    }

    /// <summary>As <see cref="ReadAt"/>, but a failure gives -1 and the error number; allocates nothing.</summary>
    public static int TryReadAt(SafeHandle file, Span<byte> buffer, long offset, out int error)
    {
        nint count;
        do
        {
            count = ReadAtNative(file, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length, offset);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.Interrupted);
        return (int)count;
    }

    /// <summary>Writes at an offset; -1 and the error number on failure; allocates nothing.</summary>
    public static int TryWriteAt(SafeHandle file, ReadOnlySpan<byte> data, long offset, out int error)
    {
        nint count;
        do
        {
            count = WriteAtNative(file, ref MemoryMarshal.GetReference(data), (nuint)data.Length, offset);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Errno.Interrupted);
        return (int)count;
    }

    /// <summary>Writes all of the data.</summary>
    public static void WriteAll(SafeHandle file, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            var count = WriteNative(file, ref MemoryMarshal.GetReference(data), (nuint)data.Length);
            if (count >= 0)
                data = data[(int)count..];
            else if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
                throw LinuxException.FromLastError("write");
        }
    }

    /// <summary>A second descriptor of the same open file, close-on-exec.</summary>
    public static SafeFileHandle Duplicate(SafeHandle file)
    {
        var descriptor = ControlNative(file, DuplicateCloseOnExec, 3);
        return descriptor < 0 ? throw LinuxException.FromLastError("fcntl F_DUPFD_CLOEXEC") : Own(descriptor);
    }

    /// <summary>The size of a file in bytes. The file's position moves.</summary>
    public static long Size(SafeHandle file)
    {
        var size = SeekNative(file, 0, SeekEnd);
        return size < 0 ? throw LinuxException.FromLastError("lseek") : size;
    }

    internal static SafeFileHandle Own(int descriptor) => new(descriptor, ownsHandle: true);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int TruncateNative(SafeHandle file, long length);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenNative(string path, int flags, int permissions);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint ReadNative(SafeHandle file, ref byte buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteNative(SafeHandle file, ref byte buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint ReadAtNative(SafeHandle file, ref byte buffer, nuint length, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint WriteAtNative(SafeHandle file, ref byte buffer, nuint length, long offset);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int ControlNative(SafeHandle file, int command, nint argument);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long SeekNative(SafeHandle file, long offset, int whence);
}
