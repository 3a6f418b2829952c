using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>A range of this process's address space that mmap gave; munmap when disposed.</summary>
internal sealed unsafe partial class Mapping : IDisposable
{
    private const int ProtectRead = 1, ProtectWrite = 2;
    private const int MapShared = 1, MapPrivate = 2;
    private const int MapAnonymous = 0x20, MapNoReserve = 0x4000;
    private const int AdviseHugePages = 14, AdviseNoDump = 16, AdvisePopulateWrite = 23;
    private const int BindPolicy = 2;
    private const int MaxNodes = 1024;
    private const nint BindSystemCall = 237;
    private byte* _pointer;

    private Mapping(byte* pointer, ulong length)
    {
        _pointer = pointer;
        Length = length;
    }

    /// <summary>The first byte.</summary>
    public byte* Pointer => _pointer is null ? throw new ObjectDisposedException(nameof(Mapping)) : _pointer;

    public ulong Address => (ulong)Pointer;

    public ulong Length { get; }

    /// <summary>Maps a part of a file or device, shared, for reading and writing.</summary>
    /// <param name="file">The file; it stays the caller's.</param>
    /// <param name="offset">Where the part begins, in bytes.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="writable">False: for reading only.</param>
    /// <param name="reserve">True: the kernel sets the pages aside at once, or refuses (what a file of huge pages needs).</param>
    public static Mapping Share(SafeHandle file, long offset, ulong length, bool writable = true, bool reserve = false)
    {
        var pointer = MapNative(0, (nuint)length, ProtectRead | (writable ? ProtectWrite : 0), reserve ? MapShared : MapShared | MapNoReserve, file, offset);
        return pointer == -1 ? throw LinuxException.FromLastError($"mmap of {length:#,0} bytes") : new Mapping((byte*)pointer, length);
    }

    /// <summary>Maps memory of nobody else's that begins at a multiple of an alignment; the kernel gives zeroed pages when they are touched first.</summary>
    /// <param name="length">Bytes, a multiple of the page size.</param>
    /// <param name="alignment">A power of two, at least the page size.</param>
    public static Mapping Anonymous(ulong length, ulong alignment)
    {
        // More than is wanted, then cut to size at both ends.
        var pointer = MapAnonymousNative(0, (nuint)(length + alignment), ProtectRead | ProtectWrite, MapPrivate | MapAnonymous | MapNoReserve, -1, 0);
        if (pointer == -1)
            throw LinuxException.FromLastError($"mmap of {length:#,0} bytes");
        var start = ((ulong)pointer + alignment - 1) & ~(alignment - 1);
        var before = start - (ulong)pointer;
        if (before > 0)
            _ = UnmapNative(pointer, (nuint)before);
        _ = UnmapNative((nint)(start + length), (nuint)(alignment - before));
        return new Mapping((byte*)start, length);
    }

    /// <summary>Asks for huge pages and keeps the range out of core dumps; both are wishes, so failures are ignored.</summary>
    public void AdviseForGuestMemory()
    {
        _ = AdviseNative((nint)Pointer, (nuint)Length, AdviseHugePages);
        _ = AdviseNative((nint)Pointer, (nuint)Length, AdviseNoDump);
    }

    /// <summary>Lets pages of a part come from one NUMA node of the host only (mbind, MPOL_BIND); of those that are there already nothing changes.</summary>
    /// <exception cref="LinuxException">The node does not exist, has no memory, or is not in the process's cpuset.</exception>
    public void BindToNode(ulong offset, ulong length, int node)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)node, (uint)MaxNodes);
        CheckPart(offset, length);
        var nodes = stackalloc ulong[MaxNodes / 64];
        new Span<ulong>(nodes, MaxNodes / 64).Clear();
        nodes[node / 64] |= 1UL << (node % 64);
        // The kernel takes one bit less than it is told.
        if (BindNative(BindSystemCall, (nint)(Pointer + offset), (nuint)length, BindPolicy, nodes, MaxNodes + 1, 0) < 0)
            throw LinuxException.FromLastError($"mbind of {length:#,0} bytes to node {node}");
    }

    /// <summary>Makes the kernel supply all pages of a part now, for writing (MADV_POPULATE_WRITE, Linux 5.14).</summary>
    /// <exception cref="LinuxException">EFAULT or ENOMEM: there are not enough pages.</exception>
    public void Populate(ulong offset, ulong length)
    {
        CheckPart(offset, length);
        int error;
        do error = AdviseNative((nint)(Pointer + offset), (nuint)length, AdvisePopulateWrite) < 0 ? Marshal.GetLastPInvokeError() : 0;
        while (error is Errno.Interrupted or Errno.Again);
        if (error != 0)
            throw new LinuxException($"madvise of {length:#,0} bytes", error);
    }

    public void Dispose()
    {
        if (_pointer is not null)
            _ = UnmapNative((nint)_pointer, (nuint)Length);
        _pointer = null;
    }

    private void CheckPart(ulong offset, ulong length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - offset);
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MapNative(nint address, nuint length, int protection, int flags, SafeHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint MapAnonymousNative(nint address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int UnmapNative(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int AdviseNative(nint address, nuint length, int advice);

    // glibc has no mbind; libnuma would be a library more.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint BindNative(nint number, nint address, nuint length, nint mode, ulong* nodes, nuint nodeBits, nint flags);
}

/// <summary>Memory with a descriptor but no name in any file system (memfd_create), so that it can be mapped, shared and told apart in smaps.</summary>
internal static partial class MemoryFile
{
    private const uint CloseOnExec = 1, AllowSealing = 2, HugePages = 4;
    private const int PageSizeShift = 26;
    private const int AddSeals = 1033;
    private const int SealShrink = 2, SealGrow = 4;

    /// <summary>Makes a memory file of a fixed size: it can neither shrink (which would turn accesses into SIGBUS) nor grow.</summary>
    /// <param name="name">Its name in smaps.</param>
    /// <param name="bytes">Its size; with huge pages a multiple of theirs.</param>
    /// <param name="hugePageBytes">The size of the huge pages that it is made of (MFD_HUGETLB); 0: of ordinary ones.</param>
    public static SafeFileHandle Create(string name, long bytes, long hugePageBytes = 0)
    {
        var huge = hugePageBytes == 0 ? 0 : HugePages | (uint)System.Numerics.BitOperations.Log2((ulong)hugePageBytes) << PageSizeShift;
        var descriptor = CreateNative(name, CloseOnExec | AllowSealing | huge);
        if (descriptor < 0)
            throw LinuxException.FromLastError("memfd_create");
        var file = Files.Own(descriptor);
        if (TruncateNative(file, bytes) < 0 || SealNative(file, AddSeals, SealShrink | SealGrow) < 0)
        {
            var failure = LinuxException.FromLastError($"memory file of {bytes:#,0} bytes");
            file.Dispose();
            throw failure;
        }
        return file;
    }

    /// <summary>Makes an empty memory file that grows as it is written.</summary>
    public static SafeFileHandle CreateGrowing(string name)
    {
        var descriptor = CreateNative(name, CloseOnExec);
        return descriptor < 0 ? throw LinuxException.FromLastError("memfd_create") : Files.Own(descriptor);
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int CreateNative(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int TruncateNative(SafeHandle file, long length);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int SealNative(SafeHandle file, int command, nint argument);
}
