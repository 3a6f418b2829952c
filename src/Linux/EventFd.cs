using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>An eventfd (eventfd(2)): a counter in the kernel that one side raises and another takes. Non-blocking, close-on-exec.</summary>
public sealed partial class EventFd : IDisposable
{
    private const int CloseOnExec = 0x80000, NonBlocking = 0x800;

    /// <summary>Makes an eventfd with the counter at zero.</summary>
    public EventFd()
    {
        var descriptor = Create(0, CloseOnExec | NonBlocking);
        Handle = descriptor < 0 ? throw LinuxException.FromLastError("eventfd") : Files.Own(descriptor);
    }

    /// <summary>The descriptor, for poll, KVM_IRQFD and VFIO_DEVICE_SET_IRQS.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>True while the counter is above zero. The counter stays as it is.</summary>
    public bool IsSignalled => Poll.IsReadable(Handle, 0);

    /// <summary>Adds one. Allocates nothing; may be called from any thread.</summary>
    public void Signal()
    {
        Span<byte> one = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(one, 1);
        // The only failure of a valid eventfd is a full counter, and then it is signalled anyway.
        _ = Write(Handle, ref MemoryMarshal.GetReference(one), 8);
    }

    /// <summary>Takes the whole counter and leaves zero.</summary>
    /// <returns>What the counter was; 0 if nothing was signalled.</returns>
    public ulong Take()
    {
        Span<byte> value = stackalloc byte[8];
        return Read(Handle, ref MemoryMarshal.GetReference(value), 8) == 8 ? BinaryPrimitives.ReadUInt64LittleEndian(value) : 0;
    }

    /// <inheritdoc />
    public void Dispose() => Handle.Dispose();

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int Create(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeHandle file, ref byte value, nuint length);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeHandle file, ref byte value, nuint length);
}
