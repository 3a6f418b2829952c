using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using Exitless.Linux;

namespace Exitless.Agent.Doctor;

/// <summary>
/// Packs what the doctor read, and nothing else, as a tar.gz of the files' own paths: unpacked, it is a recorded machine. What could name a machine or a person is never
/// read (the readers keep the part they need); names and numbers that slipped into text all the same are replaced.
/// </summary>
internal static class Bundle
{
    private const int LargestFile = 64 << 20;

    public static void Write(Stream to, HostFiles files, string hostName)
    {
        var scrub = new Scrub(hostName);
        using var zip = new GZipStream(to, CompressionLevel.Optimal, leaveOpen: true);
        using var tar = new TarWriter(zip, TarEntryFormat.Pax);
        foreach (var file in files.Read)
        {
            var name = file.Path.TrimStart('/');
            PaxTarEntry entry;
            if (file.Target is { } target)
                entry = new PaxTarEntry(TarEntryType.SymbolicLink, name) { LinkName = target };
            else if (file.Content is { } content)
                entry = new PaxTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(content.Contains((byte)0) ? content : Encoding.UTF8.GetBytes(scrub.Clean(Encoding.UTF8.GetString(content)))) };
            else
                entry = new PaxTarEntry(TarEntryType.Directory, name);
            // Neither the time nor the user of the host says anything about its interrupts.
            (entry.ModificationTime, entry.Mode) = (DateTimeOffset.UnixEpoch, file.Content is null && file.Target is null ? (UnixFileMode)0x1ed : (UnixFileMode)0x1a4);
            tar.WriteEntry(entry);
        }
    }

    /// <summary>Unpacks a bundle into an empty folder.</summary>
    /// <exception cref="AgentException">It is no bundle, or a path in it leads out of the folder.</exception>
    public static HostRoot Unpack(Stream from, string folder)
    {
        try
        {
            using var zip = new GZipStream(from, CompressionMode.Decompress);
            using var tar = new TarReader(zip);
            var links = new List<(string At, string Target)>();
            while (tar.GetNextEntry() is { } entry)
            {
                var at = Path.GetFullPath(Path.Combine(folder, entry.Name));
                if (!at.StartsWith(folder + "/", StringComparison.Ordinal) || entry.Length > LargestFile)
                    throw Damaged($"'{entry.Name}' does not belong into a bundle.");
                Directory.CreateDirectory(Path.GetDirectoryName(at)!);
                if (entry.EntryType is TarEntryType.Directory)
                    Directory.CreateDirectory(at);
                else if (entry.EntryType is TarEntryType.SymbolicLink)
                    links.Add((at, entry.LinkName));
                else if (entry.EntryType is TarEntryType.RegularFile)
                    entry.ExtractToFile(at, overwrite: false);
            }
            // Last, so that no file is ever written through a link.
            foreach (var (at, target) in links)
            {
                if (!Path.GetFullPath(Path.Combine(Path.GetDirectoryName(at)!, target)).StartsWith(folder + "/", StringComparison.Ordinal))
                    throw Damaged($"'{at[folder.Length..]}' points out of the bundle.");
                File.CreateSymbolicLink(at, target);
            }
            return new HostRoot(folder);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            throw Damaged(e.Message);
        }
    }

    private static AgentException Damaged(string why) => new($"This is no bundle of the doctor's: {why}", "Make one with: exitless-agent doctor --bundle FILE");
}
