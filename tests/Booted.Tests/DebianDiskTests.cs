using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>
/// A Debian system on a virtio disk, booted by its own loader's entry: with four VFs of two PFs, and with one of each paravirtual device. Linux's drivers drive all of
/// them, and what they did is looked at from outside by programs that are not ours.
/// </summary>
[Collection(BootedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class DebianDiskTests(BootedHost host)
{
    private const int Pings = 30;
    // Systemd under two layers of emulation.
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(20);
    private static readonly string[] Macs = ["52:54:00:00:03:01", "52:54:00:00:03:02", "52:54:00:00:04:01", "52:54:00:00:04:02"];

    // What the guest runs; it comes with cloud-init's seed. Each VF is in a network namespace of its own, so that two in one subnet do not answer for each other.
    private const string Orders = """
        #!/bin/sh
        prepare() { # MAC address; sets link and net
          link=$(basename $(dirname $(grep -l "$1" /sys/class/net/*/address)))
          net=10.0.$(echo "$1" | cut -d: -f5 | sed 's/^0//')
          ip netns add "$link"
          ip link set "$link" netns "$link"
          ip -n "$link" address add "$net.1$(echo "$1" | cut -d: -f6)/24" dev "$link"
          ip -n "$link" link set "$link" up
        }
        traffic() { # MAC address, link, network, pings
          until ip -n "$2" link show "$2" | grep -q LOWER_UP; do sleep 0.2; done
          ip netns exec "$2" ping -c "$4" -i 0.2 -W 60 "$3.2" | awk -v mac="$1" '/transmitted/ { print "traffic " mac " sent=" $1 " received=" $4 }'
        }
        through_tap() { # pings
          link=$(basename $(dirname $(grep -l 52:54:00:00:77:02 /sys/class/net/*/address)))
          ip address add 10.0.77.2/24 dev "$link"
          ip link set "$link" up
          ping -c "$1" -i 0.2 -W 60 10.0.77.1 | awk '/transmitted/ { print "tap sent=" $1 " received=" $4 }'
        }
        fill_disk() {
          mkfs.ext4 -q -F /dev/disk/by-id/virtio-data
          mkdir /data
          mount /dev/disk/by-id/virtio-data /data
          head -c 8388608 /dev/urandom >/data/kept
          head -c 8388608 /dev/urandom >/data/gone
          sync
          rm /data/gone
          fstrim /data
          sum=$(sha256sum </data/kept | cut -d ' ' -f 1)
          umount /data
          echo 3 >/proc/sys/vm/drop_caches
          mount -r /dev/disk/by-id/virtio-data /data
          echo "wrote=$sum read=$(sha256sum </data/kept | cut -d ' ' -f 1)"
          umount /data
        }
        # Sockets of family 40 (AF_VSOCK): the address is family, a reserved word, port, context id. 0x7b9 asks for the guest's own.
        vsock_ask() { # port of the host's
          perl -e 'open V, "</dev/vsock"; $c = pack "L", 0; ioctl V, 0x7b9, $c; print "vsock cid=", unpack("L", $c); socket(S, 40, 1, 0) && connect(S, pack("SSLLx4", 40, 0, $ARGV[0], 2)) or print " $!\n"' "$1"
        }
        """;

    [Fact]
    public async Task Debian_boots_from_its_disk_to_a_login_and_runs_traffic_through_four_vfs_of_two_pfs()
    {
        await TakeDiskAsync();
        string[] vfs = [.. await host.VfsAsync(1), .. await host.VfsAsync(2)];
        await using var vm = await host.BootAsync(Spec(vfs));
        await LogInAsync(vm);
        await vm.OrderAsync("echo line=$(cat /proc/cmdline)", "line=.*entry=own");
        await vm.OrderAsync("echo cpus=$(nproc)", "cpus=2");
        await TakeOrdersAsync(vm);
        await TrafficAsync(vm, vfs);
        await SwitchOffAsync(vm);
    }

    [Fact]
    public async Task Debian_drives_every_paravirtual_device()
    {
        await TakeDiskAsync();
        await Tool.TextAsync("qemu-img", ["create", "-q", "-f", "qcow2", Path.Combine(host.Share, "data.qcow2"), "96M"], "Install qemu-utils.", TestContext.Current.CancellationToken);
        await host.RunAsync("grep -q '^tun ' /proc/modules || insmod /lib/modules/$(uname -r)/tun.ko");
        await using var vm = await host.BootAsync(WithDevices(Spec([])));
        await LogInAsync(vm);
        await vm.OrderAsync("echo disks=$(ls /dev/disk/by-id | tr '\\n' ,)", "disks=.*virtio-cidata.*virtio-data.*virtio-root");
        await vm.OrderAsync("echo label=$(lsblk -no LABEL /dev/disk/by-id/virtio-cidata)", "label=CIDATA");
        await TakeOrdersAsync(vm);
        await vm.OrderAsync("echo random=$(cat /sys/class/misc/hw_random/rng_current) $(head -c 1000 /dev/hwrng | wc -c)", "random=virtio_rng.0 1000");

        await TapAsync(vm);
        var kept = await DataDiskAsync(vm);

        // Nobody listens: the device's answer, through Linux's driver.
        await vm.OrderAsync("vsock_ask 2000", "vsock cid=77 Connection reset by peer");

        await SwitchOffAsync(vm);
        await CheckDataDiskAsync(kept);
    }

    private async Task TakeDiskAsync()
    {
        Assert.SkipUnless(Nightly.IsOn, "A Debian under two layers of emulation takes minutes; EXITLESS_NIGHTLY=1 runs it.");
        await DebianDisk.CopyAsync(Path.Combine(host.Share, "root.img"), TestContext.Current.CancellationToken);
    }

    private static Task<string> TakeOrdersAsync(BootedVm vm) => vm.OrderAsync("mount -r LABEL=CIDATA /mnt && . /mnt/user-data && echo orders=$((40+2))", "orders=42");

    private static async Task SwitchOffAsync(BootedVm vm)
    {
        await vm.TypeAsync("systemctl poweroff");
        var (code, last) = await vm.WaitForEndAsync();
        Assert.Equal((0, "PowerOff"), (code, last.GetProperty("end").GetProperty("reason").GetString()));
    }

    // Both consoles write to the same one; once its driver is up, which the initrd loads, the virtio console has what is typed.
    private static async Task LogInAsync(BootedVm vm)
    {
        await vm.WaitForAsync("guest ttyS0", limit: Limit);
        await vm.WaitForAsync("guest hvc0", limit: Limit);
        await vm.TypeAsync("root");
        await vm.WaitForAsync("Password:", limit: Limit);
        await vm.TypeAsync(DebianDisk.Password);
        await vm.WaitForAsync("root@guest", limit: Limit);
        await vm.OrderAsync("dmesg -n 1; echo terminal=$(tty)", "terminal=/dev/hvc0");
    }

    private async Task TrafficAsync(BootedVm vm, string[] vfs)
    {
        var before = await VectorsAsync(vfs);
        await vm.OrderAsync($"for mac in {string.Join(' ', Macs)}; do prepare $mac; traffic $mac $link $net {Pings} & done; wait; echo all=$((40+2))", "all=42");
        foreach (var mac in Macs)
            await vm.WaitForAsync($"traffic {mac} sent={Pings} received={Pings}");
        var after = await VectorsAsync(vfs);
        // One for each packet that came; what was sent may share one.
        Assert.All(vfs, vf => Assert.True(after[vf] - before[vf] >= Pings, $"{vf}: {before[vf]} before and {after[vf]} after {Pings} answers."));
    }

    private async Task TapAsync(BootedVm vm)
    {
        await host.RunAsync("ip address add 10.0.77.1/24 dev guest0 && ip link set guest0 up");
        await vm.OrderAsync($"through_tap {Pings}", $"tap sent={Pings} received={Pings}");
        // Large segments both ways, whose checksums the kernels leave to each other.
        await host.RunAsync("head -c 4194304 /dev/urandom >/run/sent; (nc -l -p 7001 </run/sent) >/dev/null 2>&1 & (nc -l -p 7002 >/run/back) >/dev/null 2>&1 &");
        await vm.OrderAsync("cat </dev/tcp/10.0.77.1/7001 >/run/got; cat /run/got >/dev/tcp/10.0.77.1/7002; echo segments=$(wc -c </run/got)", "segments=4194304");
        await host.RunAsync("until cmp /run/sent /run/back; do sleep 0.5; done");
    }

    /// <returns>The SHA-256 of what the guest keeps there.</returns>
    private static async Task<string> DataDiskAsync(BootedVm vm)
    {
        var words = (await vm.OrderAsync("fill_disk", "wrote=.* read=")).Split('=', ' ');
        Assert.Equal(64, words[1].Length);
        Assert.Equal(words[1], words[3]);
        return words[1];
    }

    // What the guest wrote, read without any of our code.
    private async Task CheckDataDiskAsync(string sum)
    {
        var cancel = TestContext.Current.CancellationToken;
        var (image, raw, kept) = (Path.Combine(host.Share, "data.qcow2"), Path.Combine(host.Share, "data.raw"), Path.Combine(host.Share, "kept"));
        await Tool.TextAsync("qemu-img", ["check", "-q", image], "The image is at fault.", cancel);
        await Tool.TextAsync("qemu-img", ["convert", "-O", "raw", image, raw], "The image is at fault.", cancel);
        await Tool.TextAsync("/usr/sbin/e2fsck", ["-f", "-n", raw], "The file system is at fault.", cancel);
        await Tool.TextAsync("/usr/sbin/debugfs", ["-R", $"dump /kept {kept}", raw], "The file system is at fault.", cancel);
        Assert.Equal(sum, Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(kept, cancel))));
    }

    private async Task<Dictionary<string, long>> VectorsAsync(string[] vfs)
    {
        var lines = await host.RunAsync($$"""
            for vf in {{string.Join(' ', vfs)}}; do
              awk -v vf="$vf" 'index($0, "vfio-msix[") && index($0, "(" vf ")") { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print vf, n + 0 }' /proc/interrupts
            done
            """);
        return lines.Split('\n').Select(l => l.Split(' ')).ToDictionary(w => w[0], w => long.Parse(w[1], CultureInfo.InvariantCulture), StringComparer.Ordinal);
    }

    private static JsonObject Spec(string[] vfs) => new()
    {
        ["memoryMib"] = 512,
        ["vcpus"] = 2,
        ["bootDisk"] = "root",
        ["commandLine"] = "console=ttyS0 quiet net.ifnames=0",
        ["disks"] = new JsonArray(new JsonObject { ["id"] = "root", ["file"] = "/mnt/share/root.img" }),
        ["seed"] = new JsonObject { ["userData"] = Orders },
        ["virtioConsole"] = true,
        ["devices"] = new JsonArray([.. vfs.Zip(Macs, (vf, mac) => new JsonObject { ["address"] = vf, ["mac"] = mac })]),
    };

    private static JsonObject WithDevices(JsonObject spec)
    {
        spec["disks"]!.AsArray().Add(new JsonObject { ["id"] = "data", ["file"] = "/mnt/share/data.qcow2", ["format"] = "qcow2" });
        spec["entropy"] = true;
        spec["vsock"] = new JsonObject { ["cid"] = 77, ["socket"] = "/run/booted/vsock" };
        spec["networks"] = new JsonArray(new JsonObject { ["tap"] = "guest0", ["mac"] = "52:54:00:00:77:02" });
        return spec;
    }
}
