using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>Kernel, initrd and command line that a disk's own boot loader would have started, copied out of it.</summary>
/// <param name="Kernel">A memory file.</param>
/// <param name="Initrd">A memory file; null: none.</param>
/// <param name="CommandLine">The loader's.</param>
/// <param name="Source">Where they were found.</param>
internal sealed record BootFiles(SafeFileHandle Kernel, SafeFileHandle? Initrd, string CommandLine, string Source);

/// <summary>
/// Boots without firmware: looks at each ext4 partition for what its boot loader reads, in the order loader entries, GRUB's menu, and the links
/// /vmlinuz and /initrd.img. A disk with nothing of that is refused with what was looked for and what was found.
/// </summary>
internal static class DiskBoot
{
    private const int MostTextBytes = 1 << 20, MostEntryFiles = 200;
    private static readonly string[] LoaderFolders = ["/loader", "/boot/loader"];
    private static readonly string[] GrubFolders = ["/boot/grub", "/grub", "/boot/grub2", "/grub2"];
    private static readonly (string Kernel, string Initrd)[] Links = [("/vmlinuz", "/initrd.img"), ("/boot/vmlinuz", "/boot/initrd.img"), ("/boot/vmlinuz", "/boot/initrd")];

    /// <summary>Takes kernel, initrd and command line from the boot disk, if there is one.</summary>
    /// <param name="config">The launch; checked.</param>
    /// <param name="descriptors">Get the kernel and the initrd.</param>
    /// <returns>The launch with the loader's command line before its own.</returns>
    /// <exception cref="VmmProblemException">As <see cref="Load"/> and <see cref="DiskOpening.Open"/>.</exception>
    public static VmConfig Prepare(VmConfig config, VmmDescriptors descriptors)
    {
        if (config.BootDisk.Length == 0)
            return config;
        var index = config.Disks.ToList().FindIndex(d => d.Id == config.BootDisk);
        var first = config.Disks.Take(index).Sum(d => 1 + d.BackingFormats.Count);
        // Descriptors of its own, because a disk closes them; and the guest's disk is opened when there is a guest.
        SafeFileHandle[] files = [.. descriptors.Disks.Skip(first).Take(1 + config.Disks[index].BackingFormats.Count).Select(Files.Duplicate)];
        try
        {
            using var disk = DiskOpening.Open(config.Disks[index] with { IsReadOnly = true }, files, $"disks[{index}]");
            var found = Load(disk, config.BootDisk, config.MemoryBytes);
            VmmLog.Write($"Booting from {found.Source}: {found.CommandLine}");
            (descriptors.Kernel, descriptors.Initrd) = (found.Kernel, found.Initrd);
            return config with { CommandLine = $"{found.CommandLine} {config.CommandLine}".Trim(), HasInitrd = found.Initrd is not null };
        }
        finally
        {
            foreach (var file in files)
                file.Dispose();
        }
    }

    /// <summary>Checks what needs no descriptor.</summary>
    /// <exception cref="VmmProblemException">boot-disk-unknown, boot-disk-and-initrd.</exception>
    public static void Check(VmConfig config)
    {
        if (config.BootDisk.Length == 0)
            return;
        if (config.Disks.All(d => d.Id != config.BootDisk))
        {
            throw new VmmProblemException("boot-disk-unknown", "The boot disk is none of the VM's disks.",
                $"It is `{config.BootDisk}`; the disks are: {(config.Disks.Count == 0 ? "none" : string.Join(", ", config.Disks.Select(d => d.Id)))}.", "Name one of them.", "bootDisk");
        }
        if (config.HasInitrd)
            throw new VmmProblemException("boot-disk-and-initrd", "A VM that boots from its disk takes the initrd from there too.", "An initrd was given.", "Leave the initrd or the boot disk away.", "bootDisk");
    }

    /// <summary>Finds and copies them.</summary>
    /// <param name="disk">The disk; nothing is written.</param>
    /// <param name="id">Its id, for problems.</param>
    /// <param name="mostBytes">What each file may have: more would not fit the guest's memory.</param>
    /// <exception cref="VmmProblemException">boot-disk-nothing-found, boot-disk-file-missing, boot-disk-file-too-large, boot-disk-corrupt, boot-disk-unreadable.</exception>
    public static BootFiles Load(IDisk disk, string id, long mostBytes)
    {
        var whole = new DiskBytes(disk, 0, disk.Bytes);
        var seen = new List<string>();
        VmmProblemException? corrupt = null;
        foreach (var partition in PartitionTable.Read(whole))
        {
            try
            {
                var system = Ext4.TryOpen(whole.Part(partition.Start, partition.Bytes));
                seen.Add($"partition {partition.Number} ({partition.Kind}): {(system is null ? "no ext4" : "ext4 without a kernel that anything names")}");
                if (system is not null && Entry(system) is { } entry)
                    return Copy(system, entry, partition, id, mostBytes);
            }
            catch (VmmProblemException e) when (e.Code == "boot-disk-corrupt")
            {
                // Another partition may be the right one; if none is, this is what has to be said.
                corrupt ??= e;
            }
        }
        throw corrupt ?? new VmmProblemException("boot-disk-nothing-found", "The boot disk has nothing to boot that this version can read.",
            $"On disk {id} were looked for: /loader/entries, grub/grub.cfg, /vmlinuz, each also under /boot, on ext4. Found: {(seen.Count == 0 ? "no partition" : string.Join("; ", seen))}.",
            "Give the VM a kernel of its own, or install a kernel on an ext4 partition of the disk.", "bootDisk");
    }

    private static BootEntry? Entry(Ext4 system) => FromLoader(system) ?? FromGrub(system) ?? FromLinks(system);

    private static BootEntry? FromLoader(Ext4 system)
    {
        foreach (var folder in LoaderFolders)
        {
            if (system.Find($"{folder}/entries") is not { IsFolder: true } entries)
                continue;
            var names = LoaderEntry.InOrder(Ext4.Names(entries).Where(n => n.EndsWith(".conf", StringComparison.Ordinal)).Take(MostEntryFiles), Text(system, $"{folder}/loader.conf"));
            foreach (var name in names)
            {
                // Paths begin at the file system's root, which may be mounted at /boot.
                if (Text(system, $"{folder}/entries/{name}") is { } text && LoaderEntry.Parse(text, $"{folder}/entries/{name}") is { } entry && Resolve(system, entry) is { } resolved)
                    return resolved;
            }
        }
        return null;
    }

    private static BootEntry? FromGrub(Ext4 system)
    {
        foreach (var folder in GrubFolders)
        {
            if (Text(system, $"{folder}/grub.cfg") is { } text
                && GrubConfig.Default(text, GrubConfig.Saved(Text(system, $"{folder}/grubenv") ?? ""), $"{folder}/grub.cfg") is { } entry && Resolve(system, entry) is { } resolved)
                return resolved;
        }
        return null;
    }

    private static BootEntry? FromLinks(Ext4 system)
    {
        foreach (var (kernel, initrd) in Links)
        {
            if (system.Find(kernel) is { IsRegular: true })
                return new BootEntry(kernel, system.Find(initrd) is { IsRegular: true } ? [initrd] : [], $"root=UUID={system.Id} ro", kernel);
        }
        return null;
    }

    /// <summary>The entry, if its kernel is there: as named, or under /boot.</summary>
    private static BootEntry? Resolve(Ext4 system, BootEntry entry)
    {
        foreach (var prefix in (string[])["", "/boot"])
        {
            if (system.Find(prefix + entry.Kernel) is { IsRegular: true })
                return entry with { Kernel = prefix + entry.Kernel, Initrds = [.. entry.Initrds.Select(i => prefix + i)] };
        }
        return null;
    }

    private static string? Text(Ext4 system, string path) =>
        system.Find(path) is { IsRegular: true } file && file.Bytes <= MostTextBytes ? Encoding.UTF8.GetString(file.ReadAll(MostTextBytes)) : null;

    private static BootFiles Copy(Ext4 system, BootEntry entry, Partition partition, string id, long mostBytes)
    {
        var source = $"disk {id}, partition {partition.Number}, {entry.Source}";
        var kernel = CopyFile(system, entry.Kernel, "kernel", source, mostBytes);
        try
        {
            var initrd = entry.Initrds.Count switch
            {
                0 => null,
                1 => CopyFile(system, entry.Initrds[0], "initrd", source, mostBytes),
                _ => Join([.. entry.Initrds.Select(i => CopyFile(system, i, "initrd", source, mostBytes))], source, mostBytes),
            };
            return new BootFiles(kernel, initrd, entry.Options, source);
        }
        catch
        {
            kernel.Dispose();
            throw;
        }
    }

    private static SafeFileHandle CopyFile(Ext4 system, string path, string role, string source, long mostBytes)
    {
        if (system.Find(path) is not { IsRegular: true } file)
            throw new VmmProblemException("boot-disk-file-missing", $"The boot disk lacks the {role} that it names.", $"{source} names {path}.", $"Reinstall the {role} in the guest (update-initramfs, update-grub).", "bootDisk");
        if (file.Bytes > mostBytes)
            throw new VmmProblemException("boot-disk-file-too-large", $"The {role} on the boot disk is too large.", $"{path} has {file.Bytes:#,0} bytes; the VM's memory has {mostBytes:#,0}.", "Give the VM more memory.", "memoryBytes");
        return file.CopyToMemory($"exitless-{role}");
    }

    /// <summary>Several initrds one behind the other, each from a multiple of 4 bytes on.</summary>
    private static SafeFileHandle Join(List<SafeFileHandle> parts, string source, long mostBytes)
    {
        try
        {
            var sizes = parts.ConvertAll(Files.Size);
            var total = sizes.Sum(s => (s + 3) & ~3L);
            if (total > mostBytes)
                throw new VmmProblemException("boot-disk-file-too-large", "The initrds on the boot disk are too large.", $"{source} names {parts.Count}, which have {total:#,0} bytes; the VM's memory has {mostBytes:#,0}.", "Give the VM more memory.", "memoryBytes");
            var joined = MemoryFile.Create("exitless-initrd", total);
            long at = 0;
            var buffer = new byte[1 << 20];
            for (var i = 0; i < parts.Count; at += (sizes[i] + 3) & ~3L, i++)
            {
                for (long done = 0; done < sizes[i];)
                {
                    var count = Files.ReadAt(parts[i], buffer, done);
                    for (var written = 0; written < count;)
                        written += Math.Max(1, Files.TryWriteAt(joined, buffer.AsSpan(written, count - written), at + done + written, out _));
                    done += Math.Max(1, count);
                }
            }
            return joined;
        }
        finally
        {
            foreach (var part in parts)
                part.Dispose();
        }
    }
}
