using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Procfs;

/// <summary>CPU time and resident memory of one process, from /proc/‹pid›/stat and statm (proc_pid_stat(5)). Reading allocates nothing.</summary>
public sealed class ProcessUsage : IDisposable
{
    private const long NanosecondsPerTick = 1_000_000_000 / 100;   // USER_HZ is 100 on x86-64 (asm-generic/param.h)
    private const int UserField = 14, SystemField = 15, GuestField = 43;   // as proc_pid_stat(5) counts them
    private readonly SafeFileHandle _stat;
    private readonly SafeFileHandle _statm;
    private readonly byte[] _buffer = new byte[1024];

    /// <summary>Opens the files of a process.</summary>
    /// <exception cref="IOException">There is no such process.</exception>
    public ProcessUsage(HostRoot root, int processId)
    {
        _stat = Files.Open(root.Proc($"{processId}/stat"), OpenMode.Read);
        _statm = Files.Open(root.Proc($"{processId}/statm"), OpenMode.Read);
    }

    /// <summary>CPU time in guest mode, nanoseconds.</summary>
    public long GuestNanoseconds { get; private set; }

    /// <summary>CPU time outside of guest mode, user and system, nanoseconds.</summary>
    public long HostNanoseconds { get; private set; }

    /// <summary>Resident memory in bytes, guest memory included.</summary>
    public long ResidentBytes { get; private set; }

    /// <summary>Reads again.</summary>
    /// <exception cref="LinuxException">The process is gone.</exception>
    public void Read()
    {
        var text = (ReadOnlySpan<byte>)_buffer.AsSpan(0, Files.ReadAt(_stat, _buffer, 0));
        // The process's name is in brackets and may hold anything, so the fields are counted from the last bracket: the next is the third.
        text = text[(text.LastIndexOf((byte)')') + 2)..];
        long user = 0, system = 0, guest = 0;
        for (var field = 3; !text.IsEmpty && field <= GuestField; field++)
        {
            var value = Next(ref text);
            if (field == UserField)
                user = value;
            else if (field == SystemField)
                system = value;
            else if (field == GuestField)
                guest = value;
        }
        GuestNanoseconds = guest * NanosecondsPerTick;
        // The kernel counts guest time as user time too, but rounds the two apart: never let the difference go backwards.
        HostNanoseconds = Math.Max(HostNanoseconds, (user + system - guest) * NanosecondsPerTick);

        text = _buffer.AsSpan(0, Files.ReadAt(_statm, _buffer, 0));
        Next(ref text);
        ResidentBytes = Next(ref text) * Environment.SystemPageSize;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        _stat.Dispose();
        _statm.Dispose();
    }

    // A field that is no number (the state's letter, a negative one) counts as 0; none of those read here is.
    private static long Next(ref ReadOnlySpan<byte> text)
    {
        var end = text.IndexOf((byte)' ');
        var field = end < 0 ? text : text[..end];
        text = end < 0 ? default : text[(end + 1)..];
        long value = 0;
        foreach (var c in field)
        {
            if (c is < (byte)'0' or > (byte)'9')
                break;
            value = value * 10 + c - '0';
        }
        return value;
    }
}
