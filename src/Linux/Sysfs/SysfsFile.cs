using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Exitless.Linux.Sysfs;

/// <summary>Reads and writes single attributes. A missing or unreadable attribute is null: sysfs lacks what the hardware lacks.</summary>
public static partial class SysfsFile
{
    private const int PathMax = 4096;   // linux/limits.h

    /// <summary>The attribute's text without its line end, or null.</summary>
    public static string? Text(string path)
    {
        try
        {
            return File.ReadAllText(path).TrimEnd('\n', ' ', '\0');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;   // missing, or the driver answers with an errno (carrier of an interface that is down: EINVAL)
        }
    }

    /// <summary>The attribute as a decimal number, or null. Makes no text of it: some are read every second.</summary>
    public static long? Number(string path)
    {
        using var file = Files.TryOpen(path, OpenMode.Read, out _);
        Span<byte> buffer = stackalloc byte[64];
        // Not pread: debugfs has files that know no offset.
        if (file is null || Files.TryRead(file, buffer, out _) is not (var length and > 0))
            return null;
        return long.TryParse(buffer[..length].TrimEnd("\n \0"u8), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    /// <summary>The attribute as a hexadecimal number with or without 0x, or null.</summary>
    public static ulong? Hex(string path)
    {
        var text = Text(path);
        if (text is null)
            return null;
        var digits = text.StartsWith("0x", StringComparison.Ordinal) ? text.AsSpan(2) : text;
        return ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    /// <summary>The last name of what a link points to (the driver's name for <c>…/driver</c>), or null where there is no link.</summary>
    public static string? LinkName(string path)
    {
        var target = new FileInfo(path).LinkTarget;
        return target is null ? null : Path.GetFileName(target.TrimEnd('/'));
    }

    /// <summary>The names in a folder in order, or none where it is missing.</summary>
    public static IReadOnlyList<string> Names(string folder)
    {
        try
        {
            var names = Directory.EnumerateFileSystemEntries(folder).Select(e => Path.GetFileName(e)!).ToArray();
            Array.Sort(names, StringComparer.Ordinal);
            return names;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The path with every link in it resolved (realpath(3)), or null where it does not exist.</summary>
    /// <remarks>.NET resolves only the last part of a path; sysfs has links within links.</remarks>
    public static unsafe string? RealPath(string path)
    {
        var buffer = stackalloc byte[PathMax];
        var result = ResolvePath(path, buffer);
        return result is null ? null : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(result));
    }

    /// <summary>Writes an attribute in one write(2), as sysfs wants it.</summary>
    /// <exception cref="IOException">The kernel refused; the message carries its reason.</exception>
    /// <exception cref="UnauthorizedAccessException">Not permitted.</exception>
    public static void Write(string path, string value)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.Write(file, Encoding.ASCII.GetBytes(value), 0);
    }

    [LibraryImport("libc", EntryPoint = "realpath", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial byte* ResolvePath(string path, byte* resolved);
}
