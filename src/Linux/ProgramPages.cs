using System.Buffers.Text;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux;

/// <summary>
/// The pages of its program's and libraries' files that a process has mapped because it ran or read them once. Those that it needs again come back from the page cache
/// without a read; those of its start never do. Data that it has written stays.
/// </summary>
public sealed unsafe partial class ProgramPages : IDisposable
{
    private const int DontNeed = 4;
    private readonly SafeFileHandle _maps;

    private ProgramPages(SafeFileHandle maps) => _maps = maps;

    /// <summary>Opens what is needed, so that <see cref="Drop"/> works when nothing can be opened any more.</summary>
    /// <exception cref="LinuxException">There is no /proc.</exception>
    public static ProgramPages Open() => new(Files.Open("/proc/self/smaps", OpenMode.Read));

    /// <summary>Unmaps these pages (MADV_DONTNEED). Mappings that can be written, or that hold a page of their own (a relocated table), are left alone.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Drop()
    {
        Span<byte> buffer = stackalloc byte[8192];
        (ulong Start, ulong End) mapping = default;
        for (var filled = 0; ;)
        {
            var count = Files.Read(_maps, buffer[filled..]);
            if (count == 0)
                return;
            filled += count;
            var rest = buffer[..filled];
            for (var end = rest.IndexOf((byte)'\n'); end >= 0; rest = rest[(end + 1)..], end = rest.IndexOf((byte)'\n'))
            {
                var line = rest[..end];
                if (line.StartsWith("Anonymous:"u8) && mapping.End > 0 && IsZero(line))
                    Unmap(mapping);
                else if (IsHeader(line))
                    mapping = FileThatCannotBeWritten(line);
            }
            // A line that is longer than the buffer is no mapping of a file that matters.
            filled = rest.Length == buffer.Length ? 0 : rest.Length;
            rest[..filled].CopyTo(buffer);
        }
    }

    /// <inheritdoc />
    public void Dispose() => _maps.Dispose();

    // "7f9c8dc00000-7f9c8dc21000 r-xp 00000000 fe:00 1234   /path"; the lines about it begin with a capital letter and a colon behind a word.
    private static bool IsHeader(ReadOnlySpan<byte> line) => line.Length > 0 && (char.IsAsciiDigit((char)line[0]) || char.IsAsciiLetterLower((char)line[0]));

    private static bool IsZero(ReadOnlySpan<byte> line) => Utf8Parser.TryParse(line["Anonymous:".Length..].TrimStart((byte)' '), out long kilobytes, out _) && kilobytes == 0;

    private static (ulong Start, ulong End) FileThatCannotBeWritten(ReadOnlySpan<byte> line)
    {
        if (!Utf8Parser.TryParse(line, out ulong start, out var length, 'x') || !Utf8Parser.TryParse(line[(length + 1)..], out ulong end, out var more, 'x'))
            return default;
        var access = line[(length + more + 2)..];
        // Private, not writable, and of a file: its path begins with a slash.
        return access.Length > 4 && access[0] == 'r' && access[1] == '-' && access[3] == 'p' && line.IndexOf((byte)'/') > 0 ? (start, end) : default;
    }

    private static void Unmap((ulong Start, ulong End) mapping)
    {
        if (AdviseNative((nint)mapping.Start, (nuint)(mapping.End - mapping.Start), DontNeed) < 0)
            throw LinuxException.FromLastError($"madvise 0x{mapping.Start:x}");
    }

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int AdviseNative(nint address, nuint length, int advice);
}
