using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Exitless.Lab.Cache;

namespace Exitless.Lab.Tests.Booted;

/// <summary>
/// The demo guest on a VMM that is known to work: QEMU, inside the emulated host, with KVM and an assigned VF. What the guest
/// counts must be what the host counts.
/// </summary>
[Collection(SharedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed partial class GuestTests(SharedHost shared)
{
    private const int WatchedSeconds = 40;
    // The ratio that the agent tells is that of the last ten seconds.
    private const int RatioSeconds = 10;
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task The_guest_pings_through_its_vf_and_counts_what_the_host_counts()
    {
        var vf = await shared.CreateVfsAsync();
        await PutQemuIntoShareAsync();
        await shared.RunAsync($$"""
            mkfifo /run/vm.in /run/vm.out
            : >/run/vm.log
            cat /run/vm.out >>/run/vm.log 2>/dev/null &
            setsid /mnt/share/qemu/ld-linux-x86-64.so.2 --library-path /mnt/share/qemu /mnt/share/qemu/qemu-system-x86_64 -L /mnt/share/qemu \
              -name guest=guest-of-another -nodefaults -display none -no-reboot -accel kvm -M q35 -cpu host -smp 1 -m 384M \
              -kernel /var/lib/exitless/images/debian.vmlinuz -initrd /var/lib/exitless/images/demo.initrd \
              -append "console=ttyS0 quiet tsc=reliable panic=-1 iomem=relaxed exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.rate=5 exitless.name=demo" \
              -device pcie-root-port,id=rp,slot=1 -device vfio-pci,host={{vf}},bus=rp \
              -chardev pipe,id=console,path=/run/vm -serial chardev:console </dev/null >/run/vm.messages 2>&1 &
            echo $! >/run/vm.pid
            until grep -q 'received=[1-9][0-9]' /run/vm.log; do
              kill -0 $(cat /run/vm.pid) || { cat /run/vm.messages; exit 1; }
              sleep 1
            done
            """, Long);
        var log = await shared.RunAsync("cat /run/vm.log");
        Assert.Contains("exitless: ready kernel=", log);
        Assert.Contains("links=eth0", log);

        await WatchedLikeOurOwnAsync(vf);

        // Stopped, every packet is accounted for, and none was lost.
        var stopped = await OrderAsync("stop-ping", "state=stopped");
        Assert.True(stopped["sent"] >= 10);
        Assert.Equal((stopped["sent"], 0L, 0L, 0L), (stopped["received"], stopped["outstanding"], stopped["lost"], stopped["duplicates"]));

        // Interrupts: what the host counts, except for the few that may have merged before the NIC was set up. igbvf's watchdog adds one
        // every two seconds, so the host is read before and after.
        var before = HostCount(await shared.RunAsync("cat /proc/interrupts"), 1, vf);
        var guest = await OrderAsync("report irq", "exitless: irq");
        var after = HostCount(await shared.RunAsync("cat /proc/interrupts"), 1, vf);
        Assert.True(guest["eth0-rx-0"] >= stopped["received"]);
        Assert.InRange(guest["eth0-rx-0"], before - 10, after);

        // Counts go on where they were; packets that nobody answers become lost, and not before their time.
        await OrderAsync("arp -s 10.0.3.99 02:00:00:00:00:01; echo ping=10.0.3.99 >>/etc/orders; start-ping; echo started-$((1+1))", "started-2", parse: false);
        var early = await OrderAsync("sleep 2; report ping", "state=running.*outstanding=[1-9]");
        Assert.True(early["outstanding"] > 0);
        Assert.Equal((0L, stopped["received"]), (early["lost"], early["received"]));
        var late = await OrderAsync("sleep 10; report ping", "lost=[1-9]");
        Assert.True(late["outstanding"] <= 25 + 1);
        var final = await OrderAsync("stop-ping", "state=stopped");
        Assert.Equal(final["sent"] - stopped["sent"], final["lost"]);
        Assert.Equal((stopped["received"], 0L), (final["received"], final["outstanding"]));

        await shared.RunAsync("""
            echo 'poweroff -f' >/run/vm.in
            while kill -0 $(cat /run/vm.pid) 2>/dev/null; do sleep 0.5; done
            """);
    }

    // Types an order on the guest's console and waits for the line that answers it; returns its numbers.
    private async Task<Dictionary<string, long>> OrderAsync(string order, string answer, bool parse = true)
    {
        var line = await shared.RunAsync($$"""
            before=$(wc -c </run/vm.log)
            cat >/run/vm.in <<'ORDER'
            {{order}}
            ORDER
            until tail -c +$((before + 1)) /run/vm.log | grep -v '^{{order[..4]}}' | grep -q '{{answer}}'; do sleep 0.5; done
            tail -c +$((before + 1)) /run/vm.log | grep '{{answer}}' | tail -n 1
            """, TimeSpan.FromMinutes(2));
        return parse ? Pairs().Matches(line).ToDictionary(m => m.Groups["key"].Value, m => long.Parse(m.Groups["value"].Value, CultureInfo.InvariantCulture), StringComparer.Ordinal) : [];
    }

    // `exitless-agent watch` tells of a VM that it did not start what the kernel's own trace tells.
    private async Task WatchedLikeOurOwnAsync(string vf)
    {
        File.Copy(Checkout.Agent, Path.Combine(shared.Share, "exitless-agent"), overwrite: true);
        var answer = await shared.RunAsync($$"""
            cp /mnt/share/exitless-agent /run/exitless-agent
            cd /sys/kernel/tracing/events/kvm/kvm_exit
            count() { awk '/vfio-msix\[[0-9]+\]\({{vf}}\)/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }
            echo 'hist:keys=exit_reason' >trigger
            before=$(count)
            /run/exitless-agent watch --json --seconds {{WatchedSeconds}}
            echo 'hist:keys=exit_reason:pause' >>trigger
            after=$(count)
            echo "$(awk '/Hits:/ { print $2 }' hist) $((after - before))"
            echo '!hist:keys=exit_reason' >trigger
            """, TimeSpan.FromMinutes(3));
        var lines = answer.Split('\n');
        var traced = lines[^1].Split(' ').Select(word => double.Parse(word, CultureInfo.InvariantCulture)).ToArray();
        var seconds = lines[..^1].Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.All(seconds, second => Assert.Equal("guest-of-another", second.GetProperty("name").GetString()));
        // A second in which a vector came is none to compare, and the last ones fill the ratio's window.
        Assert.True(seconds.Count > WatchedSeconds / 2, answer);
        var told = seconds.Skip(RatioSeconds + 2).Average(second => second.GetProperty("exitsPerInterrupt").GetDouble());
        Assert.InRange(told, traced[0] / traced[1] * 0.9, traced[0] / traced[1] * 1.1);
        var grades = seconds.SelectMany(second => second.GetProperty("vectors").EnumerateArray()).Where(vector => vector.GetProperty("interrupts").GetInt64() > 0)
            .Select(vector => vector.GetProperty("grade").GetString()).ToList();
        Assert.NotEmpty(grades);
        Assert.All(grades, grade => Assert.True(grade is "woken" or "injected", grade));
    }

    private static long HostCount(string interrupts, int vector, string vf)
    {
        var words = interrupts.Split('\n').Single(l => l.Contains($"vfio-msix[{vector}]({vf})", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return long.Parse(words[1], CultureInfo.InvariantCulture) + long.Parse(words[2], CultureInfo.InvariantCulture);
    }

    private async Task PutQemuIntoShareAsync()
    {
        var files = LabFiles.Read(LabCache.Root)!;
        var program = new QemuProgram(files.Qemu);
        var folder = Directory.CreateDirectory(Path.Combine(shared.Share, "qemu")).FullName;
        var binary = Path.Combine(files.Qemu, "usr/bin/qemu-system-x86_64");
        var ldd = await Tool.TryAsync("ldd", [binary], TestContext.Current.CancellationToken, program.Environment);
        foreach (var library in SharedLibraries.ParseLdd(ldd.Output, binary).Values.Append(binary))
            File.Copy(library, Path.Combine(folder, Path.GetFileName(library)), overwrite: true);
        foreach (var rom in (string[])["seabios/bios-256k.bin", "qemu/linuxboot_dma.bin", "qemu/kvmvapic.bin"])
            File.Copy(Path.Combine(files.Qemu, "usr/share", rom), Path.Combine(folder, Path.GetFileName(rom)), overwrite: true);
    }

    [GeneratedRegex(@"(?<key>[a-z0-9_-]+)=(?<value>\d+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Pairs();
}
