using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>What an open descriptor leads to.</summary>
internal enum FileKind
{
    Other,
    Regular,
    BlockDevice,
    CharacterDevice,
    Socket,
    Folder,
}

/// <summary>fstat(2) and F_GETFL: what a descriptor that somebody passed really is.</summary>
internal static partial class FileKinds
{
    private const int GetFlags = 3, AccessMode = 3;

    /// <summary>The kind of file (st_mode, which lies at byte 24 of struct stat on x86-64).</summary>
    public static FileKind Of(SafeHandle file)
    {
        Span<byte> status = stackalloc byte[256];
        if (StatusNative(file, ref MemoryMarshal.GetReference(status)) < 0)
            throw LinuxException.FromLastError("fstat");
        return (BinaryPrimitives.ReadUInt32LittleEndian(status[24..]) & 0xf000) switch
        {
            0x8000 => FileKind.Regular,
            0x6000 => FileKind.BlockDevice,
            0x2000 => FileKind.CharacterDevice,
            0xc000 => FileKind.Socket,
            0x4000 => FileKind.Folder,
            _ => FileKind.Other,
        };
    }

    /// <summary>True if the descriptor was opened for reading and writing.</summary>
    public static bool IsReadWrite(SafeHandle file)
    {
        var flags = ControlNative(file, GetFlags, 0);
        return flags < 0 ? throw LinuxException.FromLastError("fcntl F_GETFL") : (flags & AccessMode) == (int)OpenMode.ReadWrite;
    }

    [LibraryImport("libc", EntryPoint = "fstat", SetLastError = true)]
    private static partial int StatusNative(SafeHandle file, ref byte status);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int ControlNative(SafeHandle file, int command, nint argument);
}
