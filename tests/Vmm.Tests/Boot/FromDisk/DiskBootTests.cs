using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Boot.FromDisk;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests.Boot.FromDisk;

/// <summary>What a disk's own boot loader would have started, found without it.</summary>
public sealed class DiskBootTests : IDisposable
{
    private const long Most = 64 << 20;
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("whole")]
    [InlineData("mbr")]
    [InlineData("gpt")]
    [InlineData("logical")]
    public void The_links_of_debian_are_followed_on_every_kind_of_partition_table(string table)
    {
        Put("boot/vmlinuz-6.1", new string('k', 300_000));
        Put("boot/initrd.img-6.1", new string('i', 5));
        File.CreateSymbolicLink(Path.Combine(_folder, "vmlinuz"), "boot/vmlinuz-6.1");
        File.CreateSymbolicLink(Path.Combine(_folder, "initrd.img"), "/boot/../boot/initrd.img-6.1");
        var system = DiskImage.Ext4(_folder);
        var found = Load(table switch { "whole" => system, "mbr" => DiskImage.Mbr(system), "gpt" => DiskImage.Gpt(system), _ => Logical(system) });
        Assert.Equal(new string('k', 300_000), found.Kernel);
        Assert.Equal("iiiii", found.Initrd);
        Assert.Matches("^root=UUID=[0-9a-f]{8}-[0-9a-f-]{27} ro$", found.CommandLine);
    }

    [Theory]
    [InlineData("-b 1024")]
    [InlineData("-b 4096 -O 64bit,metadata_csum")]
    [InlineData("-O ^64bit,^metadata_csum")]
    [InlineData("-I 256 -O inline_data")]
    [InlineData("-I 128 -O ^metadata_csum")]
    public void File_systems_of_every_make_are_read(string options)
    {
        Put("vmlinuz", string.Concat(Enumerable.Range(0, 60_000).Select(i => $"{i} ")));
        // Short enough for the inode itself, where that is on; and a folder with more names than one block holds.
        Put("initrd.img", "tiny initrd of more than sixty bytes, which is what lies beside the attributes.");
        for (var i = 0; i < 500; i++)
            Put($"many/a-file-with-quite-a-long-name-{i}", "");
        var found = Load(DiskImage.Ext4(_folder, 16, options.Split(' ')));
        Assert.EndsWith("59999 ", found.Kernel, StringComparison.Ordinal);
        Assert.StartsWith("0 1 2 3", found.Kernel, StringComparison.Ordinal);
        Assert.StartsWith("tiny initrd", found.Initrd, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_many_pieces_and_holes_is_read_whole()
    {
        Put("vmlinuz", "");
        using (var file = File.OpenWrite(Path.Combine(_folder, "vmlinuz")))
        {
            for (var i = 0; i < 100; i++)
            {
                file.Position = i * 8192;
                file.WriteByte((byte)i);
            }
        }
        var kernel = Load(DiskImage.Ext4(_folder, 8, "-b", "1024")).Kernel;
        Assert.Equal((99 * 8192) + 1, kernel.Length);
        Assert.All(Enumerable.Range(0, 100), i => Assert.Equal((char)i, kernel[i * 8192]));
        Assert.Equal(100, kernel.Count(c => c != 0) + 1);
    }

    [Theory]
    [InlineData("0", "", "linux-a", "root=/dev/vda1 quiet")]
    [InlineData("1>1", "", "linux-c", "single words 'x'")]
    [InlineData("Old one", "", "linux-b", "")]
    [InlineData("Advanced>gnulinux-c", "", "linux-c", "single words 'x'")]
    [InlineData("no such", "", "linux-a", "root=/dev/vda1 quiet")]
    [InlineData("${saved_entry}", "saved_entry=1>0\n", "linux-b", "")]
    public void Grubs_default_entry_is_chosen_as_grub_would(string chosen, string environment, string kernel, string options)
    {
        var entry = GrubConfig.Default($$"""
            # from grub-mkconfig
            if [ "${next_entry}" ] ; then
               set default="${next_entry}"
            else
               set default="{{chosen}}"
            fi
            menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple' {
            	load_video
            	insmod gzio
            	linux	/boot/linux-a root=/dev/vda1 quiet $vt_handoff
            	initrd	/boot/initrd-a
            }
            submenu "Advanced" $menuentry_id_option 'gnulinux-advanced' {
            	menuentry 'Old one' --class x --id gnulinux-b {
            		linux /boot/linux-b
            	}
            	menuentry 'C' $menuentry_id_option 'gnulinux-c' {
            		linux /boot/linux-c "single words" \'x\'
            		initrd /a.img /b.img
            	}
            }
            menuentry 'UEFI Firmware Settings' { fwsetup }
            """.Replace("Advanced>gnulinux-c", "gnulinux-advanced>gnulinux-c", StringComparison.Ordinal), GrubConfig.Saved(environment), "grub.cfg")!;
        Assert.Equal("/boot/" + kernel, entry.Kernel);
        Assert.Equal(options, entry.Options);
        if (kernel == "linux-c")
            Assert.Equal(["/a.img", "/b.img"], entry.Initrds);
    }

    [Fact]
    public void A_grub_menu_on_the_disk_is_used_and_its_initrds_are_joined()
    {
        Put("boot/k", "kernel");
        Put("boot/i1", "12345");
        Put("boot/i2", "678");
        Put("boot/grub/grub.cfg", "menuentry 'x' {\n linux /boot/k root=/dev/vda1\n initrd /boot/i1 /boot/i2\n}\n");
        var found = Load(DiskImage.Ext4(_folder));
        Assert.Equal(("kernel", "12345\0\0\0678\0", "root=/dev/vda1"), (found.Kernel, found.Initrd, found.CommandLine));
    }

    [Fact]
    public void Loader_entries_come_first_the_newest_or_the_default_one()
    {
        Put("vmlinuz-6.9", "nine");
        Put("vmlinuz-6.12", "twelve");
        Put("loader/entries/a-6.9.conf", "title A\nlinux /vmlinuz-6.9\noptions root=a\noptions quiet $x\n");
        Put("loader/entries/a-6.12.conf", "# c\nlinux /vmlinuz-6.12\noptions root=b\n");
        Put("vmlinuz", "link");
        Assert.Equal(("twelve", "root=b"), Two(Load(DiskImage.Ext4(_folder))));
        Put("loader/loader.conf", "timeout 3\ndefault a-6.9*\n");
        Assert.Equal(("nine", "root=a quiet"), Two(Load(DiskImage.Ext4(_folder))));

        static (string, string) Two((string Kernel, string? Initrd, string CommandLine) found) => (found.Kernel, found.CommandLine);
    }

    [Fact]
    public void A_disk_with_nothing_to_boot_is_refused_with_what_was_found()
    {
        Put("readme", "x");
        var empty = Refused(DiskImage.Mbr(DiskImage.Ext4(_folder)));
        Assert.Equal("boot-disk-nothing-found", empty.Code);
        Assert.Contains("partition 1 (MBR 0x83): ext4 without a kernel", empty.Detail, StringComparison.Ordinal);
        Assert.Contains("grub/grub.cfg", empty.Detail, StringComparison.Ordinal);
        Assert.Contains("no ext4", Refused(new byte[1 << 20]).Detail, StringComparison.Ordinal);
        Put("boot/k", "kernel");
        Put("boot/grub/grub.cfg", "menuentry 'x' {\n linux /boot/k\n initrd /boot/gone\n}\n");
        Assert.Equal("boot-disk-file-missing", Refused(DiskImage.Ext4(_folder)).Code);
        File.CreateSymbolicLink(Path.Combine(_folder, "loop"), "loop");
        Put("boot/grub/grub.cfg", "menuentry 'x' {\n linux /loop\n}\n");
        Assert.Equal("boot-disk-nothing-found", Refused(DiskImage.Ext4(_folder)).Code);
    }

    [Fact]
    public void A_kernel_that_is_larger_than_the_guest_is_not_copied()
    {
        Put("vmlinuz", new string('k', 100_000));
        var problem = Assert.Throws<VmmProblemException>(() => DiskBoot.Load(DiskImage.Disk(DiskImage.Ext4(_folder)), "root", 99_999));
        Assert.Equal(("boot-disk-file-too-large", "memoryBytes"), (problem.Code, problem.Field));
    }

    [Fact]
    public void A_corrupt_file_system_or_partition_table_is_a_problem_in_words_and_nothing_else()
    {
        Put("boot/k", new string('k', 20_000));
        Put("boot/i", new string('i', 3_000));
        Put("boot/grub/grub.cfg", "menuentry 'x' {\n linux /boot/k root=/dev/vda1\n initrd /boot/i\n}\n");
        for (var i = 0; i < 30; i++)
            Put($"boot/{i}", "");
        var valid = DiskImage.Mbr(DiskImage.Ext4(_folder, 1, "-b", "1024", "-N", "64", "-O", "^has_journal,^resize_inode"));
        // Most of the image is empty: what counts is the table, the superblock, descriptors, inodes and folders.
        int[] telling = [.. Enumerable.Range(0, valid.Length).Where(i => valid[i] != 0 && (i < 1 << 20 || valid[i] is not ((byte)'k' or (byte)'i')))];
        var change = Gen.Select(Gen.OneOf(Gen.Int[0, telling.Length - 1].Select(i => telling[i]), Gen.Int[446, 511], Gen.Int[(1 << 20) + 1024, (1 << 20) + 1400]), Gen.OneOf(Gen.Byte, Gen.Const((byte)0xff), Gen.Const((byte)0)));
        var disk = DiskImage.Disk(valid);
        var content = ((Virtio.MemoryDisk)disk).Content;
        change.Array[1, 6].Sample(
            changes =>
            {
                foreach (var (at, value) in changes)
                    content[at] = value;
                var before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    var found = DiskBoot.Load(disk, "root", 1 << 20);
                    found.Kernel.Dispose();
                    found.Initrd?.Dispose();
                }
                catch (VmmProblemException)
                {
                    // In words: all is well.
                }
                finally
                {
                    Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 << 20);
                    foreach (var (at, _) in changes)
                        content[at] = valid[at];
                }
            },
            iter: FuzzRuns.Count, threads: 1);
    }

    private static byte[] Logical(byte[] system)
    {
        var disk = DiskImage.Mbr(system, kind: 0x05);
        var larger = new byte[disk.Length + 512];
        disk.AsSpan(0, 512).CopyTo(larger);
        system.CopyTo(larger, (1 << 20) + 512);
        var table = larger.AsSpan(1 << 20, 512);
        (table[510], table[511]) = (0x55, 0xaa);
        DiskImage.Entry(table[446..], 0x83, 1, (uint)system.Length / 512);
        // A chain that leads back to itself.
        DiskImage.Entry(table[462..], 0x05, 1, 1);
        return larger;
    }

    private static VmmProblemException Refused(byte[] disk) => Assert.Throws<VmmProblemException>(() => DiskBoot.Load(DiskImage.Disk(disk), "root", Most));

    private static (string Kernel, string? Initrd, string CommandLine) Load(byte[] content)
    {
        var found = DiskBoot.Load(DiskImage.Disk(content), "root", Most);
        using (found.Kernel)
        using (found.Initrd)
            return (Text(found.Kernel), found.Initrd is null ? null : Text(found.Initrd), found.CommandLine);
    }

    private static string Text(Microsoft.Win32.SafeHandles.SafeFileHandle file)
    {
        var bytes = new byte[Files.Size(file)];
        Files.ReadExactlyAt(file, bytes, 0);
        return System.Text.Encoding.Latin1.GetString(bytes);
    }

    private void Put(string path, string content)
    {
        var full = Path.Combine(_folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, content);
    }
}
