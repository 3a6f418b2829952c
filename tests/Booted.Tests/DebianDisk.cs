using System.Security.Cryptography;
using System.Text;
using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Booted.Tests;

/// <summary>
/// A disk with a Debian system as its own tools make it: mmdebstrap installs systemd, udev and the distribution's kernel from the archive of this machine's
/// own apt source, kernel-install writes a loader's entry, mkfs.ext4 the file system, sfdisk the partition table. Made once for each recipe and kept in the
/// lab's cache.
/// </summary>
internal static class DebianDisk
{
    /// <summary>The password of root in it.</summary>
    public const string Password = "exitless";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);

    /// <summary>Copies the disk. Skips the test, in words, where it cannot be made.</summary>
    public static async Task CopyAsync(string target, CancellationToken cancel)
    {
        await Tool.TextAsync("cp", ["--sparse=always", await PathAsync(cancel), target], "Make room for 600 MB.", cancel);
    }

    private static async Task<string> PathAsync(CancellationToken cancel)
    {
        var release = DebianRelease.Read(await File.ReadAllTextAsync("/etc/os-release", cancel));
        var folder = Path.Combine(LabCache.Root, "debian-disk");
        Directory.CreateDirectory(folder);
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(release.Codename + Recipe)))[..16];
        var path = Path.Combine(folder, key + ".img");
        await using var turn = await FileLock.TakeAsync(Path.Combine(folder, "lock"), () => { }, cancel);
        if (File.Exists(path))
            return path;
        Assert.SkipUnless(Environment.UserName == "root", "A Debian disk is not in the cache and is made by root only.");
        foreach (var (program, package) in ((string, string)[])[("/usr/bin/mmdebstrap", "mmdebstrap"), ("/usr/sbin/mkfs.ext4", "e2fsprogs"), ("/usr/sbin/sfdisk", "fdisk")])
            Assert.SkipUnless(File.Exists(program), $"A Debian disk is not in the cache and cannot be made: {program} (package {package}) is missing.");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(Limit);
        var work = Directory.CreateTempSubdirectory("exitless-debian-").FullName;
        try
        {
            var source = AptSourceReader.FindMain(AptSourceReader.ReadAll("/etc/apt"), release.Codename, release.Number == 12 ? ["oldstable"] : ["stable"]);
            await File.WriteAllTextAsync(Path.Combine(work, "debian.sources"), source.WithSuites([release.Codename]), cancel);
            await File.WriteAllTextAsync(Path.Combine(work, "recipe"), Recipe, cancel);
            var made = await Tool.TryAsync("/bin/sh", ["-c", OwnMounts, "sh", Path.Combine(work, "recipe"), work, release.Codename, path], limit.Token);
            Assert.SkipUnless(made.ExitCode == 0, $"A Debian disk cannot be made: {made.Output}{made.Errors}");
            // Those of older recipes.
            foreach (var other in Directory.GetFiles(folder, "*.img").Where(f => f != path))
                File.Delete(other);
            return path;
        }
        finally
        {
            await Tool.TryAsync("rm", ["-rf", "--one-file-system", work], CancellationToken.None);
        }
    }

    // What mmdebstrap mounts goes with it, however it ends.
    private const string OwnMounts = """unshare --mount true 2>/dev/null && exec unshare --mount /bin/sh "$@"; exec /bin/sh "$@" """;

    // The limits are systemd's and login's own, which are too short for a machine that is emulated twice.
    private const string Recipe = """
        set -e
        work=$1 suite=$2 target=$3
        cat >"$work/hook" <<'HOOK'
        #!/bin/sh
        set -e
        printf 'MODULES=list\nCOMPRESS=zstd\n' >"$1/etc/initramfs-tools/conf.d/small"
        printf 'virtio_pci\nvirtio_blk\nvirtio_console\next4\n' >>"$1/etc/initramfs-tools/modules"
        chroot "$1" update-initramfs -u -k all
        # A loader's entry by systemd's own tool.
        version=$(basename "$1"/lib/modules/*)
        echo 'root=LABEL=root ro entry=own' >"$1/etc/kernel/cmdline"
        echo layout=bls >"$1/etc/kernel/install.conf"
        echo guest >"$1/etc/kernel/entry-token"
        mkdir -p "$1/boot/loader/entries"
        SYSTEMD_RELAX_ESP_CHECKS=1 SYSTEMD_RELAX_XBOOTLDR_CHECKS=1 chroot "$1" kernel-install add "$version" "/boot/vmlinuz-$version" "/boot/initrd.img-$version"
        echo 'LABEL=root / ext4 defaults 0 1' >"$1/etc/fstab"
        echo root:exitless | chroot "$1" chpasswd -c SHA512
        echo guest >"$1/etc/hostname"
        sed -i 's/^LOGIN_TIMEOUT.*/LOGIN_TIMEOUT 900/' "$1/etc/login.defs"
        mkdir -p "$1/etc/systemd/system.conf.d"
        printf '[Manager]\nDefaultTimeoutStartSec=15min\nDefaultDeviceTimeoutSec=15min\n' >"$1/etc/systemd/system.conf.d/patient.conf"
        HOOK
        chmod +x "$work/hook"
        mmdebstrap --quiet --mode=root --variant=minbase --include=systemd-sysv,udev,linux-image-amd64,initramfs-tools,zstd,iproute2,iputils-ping \
          --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
          --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/gpu/*' --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/media/*' \
          --dpkgopt='path-exclude=*/lib/modules/*/kernel/sound/*' --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/net/wireless/*' \
          --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/infiniband/*' --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/usb/*' \
          --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/staging/*' --dpkgopt='path-exclude=*/lib/modules/*/kernel/drivers/iio/*' \
          --customize-hook="$work/hook" "$suite" "$work/tree" "$work/debian.sources" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
        truncate -s 1G "$work/disk"
        /usr/sbin/mkfs.ext4 -q -F -d "$work/tree" -L root -E offset=1048576 "$work/disk" 1046528k 2>&1
        printf 'label: gpt\nstart=2048, type=L\n' | /usr/sbin/sfdisk -q "$work/disk" 2>&1
        cp --sparse=always "$work/disk" "$target.new"
        mv "$target.new" "$target"
        """;
}
