using System.Globalization;
using System.Text;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Doctor;

/// <summary>Something that was read: a file with its content, a link with its target, or a folder.</summary>
/// <param name="Path">As on the host, from /.</param>
/// <param name="Content">Null for links and folders.</param>
/// <param name="Target">Of a link.</param>
internal sealed record HostFile(string Path, byte[]? Content, string? Target);

/// <summary>
/// The doctor's only way to the host's files. It keeps what it gave out, so that a finding can show its evidence as read, and a bundle packs that and nothing else.
/// A reader that needs a part of a file says so, and only that part is kept.
/// </summary>
internal sealed class HostFiles(HostRoot root)
{
    private readonly SortedDictionary<string, HostFile> _read = new(StringComparer.Ordinal);

    public HostRoot Root { get; } = root;

    /// <summary>What was read, by path.</summary>
    public IReadOnlyCollection<HostFile> Read => _read.Values;

    /// <summary>A file's text without its line end, or null.</summary>
    /// <param name="keep">The part of it that is needed.</param>
    public string? Text(string path, Func<string, string>? keep = null)
    {
        if (SysfsFile.Text(Root.At(path)) is not { } text)
            return null;
        text = keep is null ? text : keep(text);
        Keep(path, Encoding.UTF8.GetBytes(text + "\n"), null);
        return text;
    }

    /// <summary>A decimal number, or null.</summary>
    public long? Number(string path) => long.TryParse(Text(path), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : null;

    /// <summary>A hexadecimal number with or without 0x, or null.</summary>
    public ulong? Hex(string path) => ParseHex(Text(path));

    /// <summary>A module's parameter that is on or off (Y, N, 1, 0), or null.</summary>
    public bool? Flag(string path) => Text(path) switch { "Y" or "y" or "1" => true, "N" or "n" or "0" => false, _ => null };

    /// <summary>A binary file, or null.</summary>
    /// <param name="keep">Gives back the part that is needed, the rest as zeroes.</param>
    public byte[]? Bytes(string path, Func<byte[], byte[]> keep)
    {
        try
        {
            var bytes = keep(File.ReadAllBytes(Root.At(path)));
            Keep(path, bytes, null);
            return bytes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>What a link points to, as it is written there, or null where there is no link.</summary>
    public string? Link(string path)
    {
        try
        {
            if (new FileInfo(Root.At(path)).LinkTarget is not { } target)
                return null;
            Keep(path, null, target);
            return target;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;   // gone meanwhile
        }
    }

    /// <summary>The last name of what a link points to, or null.</summary>
    public string? LinkName(string path) => Link(path) is { } target ? Path.GetFileName(target.TrimEnd('/')) : null;

    /// <summary>The path behind a link, or the path itself.</summary>
    public string Resolve(string path) => Link(path) is { } target ? Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, target)) : path;

    /// <summary>The names in a folder, in order; none where it is missing.</summary>
    public IReadOnlyList<string> Names(string folder, Func<string, bool>? only = null)
    {
        var at = Root.At(folder);
        if (!Directory.Exists(at))
            return [];
        Keep(folder, null, null);
        var names = SysfsFile.Names(at).Where(n => only?.Invoke(n) ?? true).ToList();
        foreach (var name in names)
        {
            var path = $"{folder}/{name}";
            if (Link(path) is null && !_read.ContainsKey(path))
                Keep(path, Directory.Exists(Root.At(path)) ? null : [], null);
        }
        return names;
    }

    /// <summary>Whether a file or folder is there.</summary>
    public bool Exists(string path)
    {
        var (file, folder) = (File.Exists(Root.At(path)), Directory.Exists(Root.At(path)));
        if ((file || folder) && !_read.ContainsKey(path))
            Keep(path, file ? [] : null, null);
        return file || folder;
    }

    /// <summary>The number of a process by the name of its program, or null. Only this process's name is kept.</summary>
    public string? Process(string name)
    {
        foreach (var entry in SysfsFile.Names(Root.At("/proc")))
        {
            if (char.IsAsciiDigit(entry[0]) && SysfsFile.Text(Root.At($"/proc/{entry}/comm")) == name)
                return Text($"/proc/{entry}/comm") is null ? null : entry;
        }
        return null;
    }

    /// <summary>Keeps text that was read in another way than as a file's whole content.</summary>
    public void KeepText(string path, string text) => Keep(path, Encoding.UTF8.GetBytes(text), null);

    internal static ulong? ParseHex(string? text)
    {
        var digits = text is null ? default : text.StartsWith("0x", StringComparison.Ordinal) ? text.AsSpan(2) : text;
        return ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    private void Keep(string path, byte[]? content, string? target) => _read[path] = new HostFile(path, content, target);
}
