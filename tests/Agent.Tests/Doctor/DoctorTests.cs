using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using Exitless.Agent.Commands;
using Exitless.Agent.Doctor;
using Exitless.Agent.Events;
using Exitless.Agent.Link;
using Exitless.Agent.Tests.Trees;
using Exitless.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.Doctor;

public sealed class DoctorTests : IDisposable
{
    private const string Posting = "intel-posting-everywhere", Zen4 = "amd-zen4-x2avic", State = "/var/lib/exitless";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    // Each is one thing that was changed on a host where all was well, and what must be said of it.
    [InlineData(Posting, "/proc/cmdline", "intremap=nopost", "warning device-posting")]
    [InlineData(Posting, "/proc/cmdline", "pcie_acs_override=downstream,multifunction", "warning acs-override")]
    [InlineData(Posting, "/proc/cmdline", "intremap=posted_msi", null)]
    [InlineData(Posting, "/sys/module/kvm_intel/parameters/enable_device_posted_irqs", "N", "warning device-posting")]
    [InlineData(Posting, "/sys/module/kvm_intel/parameters/enable_apicv", "N", "warning apicv")]
    [InlineData(Posting, "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y", "warning unsafe-interrupts")]
    [InlineData(Posting, "/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages", "0", "warning hugepages node0")]
    [InlineData(Posting, "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages", "0", "info hugepages node1")]
    [InlineData(Posting, "/proc/4711/comm", "irqbalance", "warning irqbalance")]
    [InlineData(Posting, "/dev/kmsg", "4,1,0,-;i40e 0000:18:00.0: not enough MMIO resources for SR-IOV", "warning sriov-resources")]
    [InlineData(Posting, "/dev/kmsg", "6,1,0,-;irq bypass consumer (token 00000000a1b2c3d4) registration fails: -16", "warning irq-bypass")]
    [InlineData(Posting, "/proc/interrupts", "           CPU0\n  9:          0  IO-APIC    9-fasteoi", "blocker interrupt-remapping")]
    [InlineData(Posting, "/proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: x2apic cx16", "blocker virtualization")]
    [InlineData(Zen4, "/proc/cmdline", "amd_iommu_intr=legacy", "warning device-posting")]
    [InlineData(Zen4, "/proc/sys/kernel/osrelease", "6.12.48", "warning kernel-bug avic-stale-tpr")]
    [InlineData(Zen4, "/proc/sys/kernel/osrelease", "6.12.49", null)]
    [InlineData(Zen4, "/proc/sys/kernel/osrelease", "6.8.0-45-generic", "info kernel-bug avic-stale-tpr")]
    [InlineData(Zen4, "/sys/module/kvm_amd/parameters/avic", "N", "warning avic")]
    [InlineData(Zen4, "/sys/module/kvm_amd/parameters/enable_ipiv", "N", "info ipi-virtualization")]
    [InlineData(Zen4, "/sys/module/kvm_amd/parameters/sev_snp", "Y", "warning snp")]
    public void One_change_is_one_more_finding(string machine, string path, string value, string? finding)
    {
        using var host = new RecordedMachine(machine);
        var before = Lines(host);
        host.Write(path, value);
        var more = Lines(host).Except(before, StringComparer.Ordinal).Where(l => !l.StartsWith("ok", StringComparison.Ordinal)).ToList();
        Assert.Equal(finding is null ? [] : [finding], more);
    }

    [Theory]
    // Nothing posts on the lab's host; the others could, or do.
    [InlineData("lab-host", "/sys/module/kvm_amd/parameters/eli", "Y", "ok eli")]
    [InlineData("lab-host", "/sys/module/kvm_amd/parameters/eli", "N", "info eli")]
    [InlineData("lab-host", "/proc/sys/kernel/osrelease", "6.1.0-39-amd64", null)]
    [InlineData(Zen4, "/sys/module/kvm_amd/parameters/avic", "N", null)]
    [InlineData("amd-zen2-avic-off", "/proc/sys/kernel/osrelease", "6.12.48+deb13-amd64", "info eli")]
    [InlineData("amd-snp", "/proc/sys/kernel/osrelease", "6.12.48+deb13-amd64", "info eli")]
    [InlineData(Posting, "/proc/sys/kernel/osrelease", "6.12.48+deb13-amd64", null)]
    public void ELI_is_told_of_where_nothing_posts_or_could(string machine, string path, string value, string? finding)
    {
        using var host = new RecordedMachine(machine);
        host.Write(path, value);
        Assert.Equal(finding, Lines(host).SingleOrDefault(l => l.EndsWith(" eli", StringComparison.Ordinal)));
    }

    [Fact]
    public void Posted_MSI_on_a_kernel_with_the_bug_is_named_with_the_fix()
    {
        using var host = new RecordedMachine(Posting);
        host.Write("/proc/cmdline", "intremap=posted_msi");
        host.Write("/proc/sys/kernel/osrelease", "6.12.23");
        var bug = Diagnose(host).Findings.Single(f => f.Id == "kernel-bug");
        Assert.Equal((Severity.Warning, "posted-msi-overwrites-vcpu-posting", true), (bug.Severity, bug.Subject, bug.NeedsReboot));
        Assert.Contains("6.12.24", bug.Remedy, StringComparison.Ordinal);
        Assert.Equal(("/proc/sys/kernel/osrelease", "6.12.23"), (bug.Evidence[0].Path, bug.Evidence[0].Value));
    }

    [Fact]
    public void An_EPYC_that_posts_beside_SNP_is_no_trouble()
    {
        using var host = new RecordedMachine(Zen4);
        host.Write("/sys/module/kvm_amd/parameters/sev_snp", "Y");
        for (var unit = 0; unit < 4; unit++)
            host.Write($"/sys/devices/virtual/iommu/ivhd{unit}/amd-iommu/features", "25bf732fa2295afe:53d");   // EPYC Turin: SNPAVICSup = 1
        Assert.Contains("ok snp", Lines(host));
    }

    [Fact]
    public void A_change_of_the_command_line_is_given_for_the_boot_loader_that_is_there()
    {
        using var host = new RecordedMachine("nested-without-iommu");
        host.Write("/proc/cmdline", "quiet intel_iommu=off password=hunter2");
        Finding Iommu() => Diagnose(host).Findings.Single(f => f.Id == "iommu");
        Assert.Equal("sed -i 's/ *intel_iommu=off//' /etc/default/grub && update-grub", Iommu().Remedy);
        Assert.True(Iommu().NeedsReboot);
        host.Write("/usr/sbin/grubby", "");
        Assert.Equal("grubby --update-kernel=ALL --remove-args='intel_iommu=off'", Iommu().Remedy);
        Assert.DoesNotContain(Iommu().Evidence, e => e.Value.Contains("hunter2", StringComparison.Ordinal));
    }

    [Fact]
    public void A_VF_that_shares_its_group_with_its_PF_is_not_freed_by_unbinding_the_PF()
    {
        using var host = new RecordedMachine(Posting);
        host.Delete("/sys/devices/pci0000:16/0000:16:00.0/0000:18:02.0/iommu_group");
        File.CreateSymbolicLink(host.Root.At("/sys/devices/pci0000:16/0000:16:00.0/0000:18:02.0/iommu_group"), "../../../../kernel/iommu_groups/38");
        var group = Diagnose(host).Findings.Single(f => f.Id == "group-viability");
        Assert.Equal((Severity.Warning, "0000:18:00.0"), (group.Severity, group.Subject));
        Assert.DoesNotContain("unbind", group.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("6.12.48+deb13-amd64", 6, 12, 48)]
    [InlineData("6.8.12-15-pve", 6, 8, 12)]
    [InlineData("6.9.0-rc7-snp-host-05b10142ac6a", 6, 9, 0)]
    [InlineData("6.18", 6, 18, 0)]
    [InlineData("6.8.0-45-generic", 6, 8, null)]
    [InlineData("5.14.0-687.41.1.el9_8.x86_64", 5, 14, null)]
    [InlineData("", 0, 0, 0)]
    public void A_release_says_which_stable_version_it_holds_or_that_it_does_not_tell(string text, int major, int minor, int? patch)
    {
        var release = KernelRelease.Parse(text);
        Assert.Equal((major, minor, patch), (release.Major, release.Minor, text.Length == 0 ? 0 : release.Patch));
    }

    [Fact]
    public void A_bundle_has_no_serial_numbers_MACs_or_names()
    {
        using var host = new RecordedMachine(Posting);
        const string Uuid = "9f2b1c44-5d1e-4b7a-8c9d-0123456789ab", Mac = "52:54:00:ab:cd:ef", Name = "web7";
        host.Write("/proc/cmdline", $"root=UUID={Uuid} intel_iommu=on ip={Name} hugepages=64");
        host.Write("/proc/sys/kernel/random/boot_id", Uuid);
        host.Write("/dev/kmsg", $"6,1,0,-;DMAR: IOMMU enabled on {Name} {Mac}\n6,2,0,-;Kernel command line: root=UUID={Uuid}");
        host.Write("/proc/interrupts", $"            CPU0       CPU1\n  30:        512          0  IR-PCI-MSIX-0000:18:00.0    0-edge      enx525400abcdef-rx-0");
        host.Write("/etc/machine-id", "0123456789abcdef0123456789abcdef");
        // The device serial number capability (PCI Express 7.9.3), made of a MAC in many devices.
        var config = host.Root.At("/sys/devices/pci0000:16/0000:16:00.0/config");
        var space = File.ReadAllBytes(config);
        new byte[] { 0x0d, 0, 0x01, 0x14 }.CopyTo(space.AsSpan(0x100));
        new byte[] { 0x03, 0, 0x01, 0, 0xef, 0xcd, 0xab, 0xff, 0xff, 0x00, 0x54, 0x52 }.CopyTo(space.AsSpan(0x140));
        File.WriteAllBytes(config, space);

        var entries = Entries(Diagnose(host), Name);
        var all = Encoding.Latin1.GetString([.. entries.SelectMany(e => e.Value)]) + string.Join('\n', entries.Keys);
        Assert.All(new[] { Uuid, Mac, Name, "enx", "Kernel command line", "0123456789abcdef" }, secret => Assert.DoesNotContain(secret, all, StringComparison.OrdinalIgnoreCase));
        var packed = entries["sys/devices/pci0000:16/0000:16:00.0/config"];
        Assert.Equal((0x03, 0x5d), (packed[0x140], packed[0x104]));
        Assert.All(packed[0x144..0x14c], b => Assert.Equal(0, b));
        Assert.Equal("intel_iommu=on hugepages=64\n", Encoding.UTF8.GetString(entries["proc/cmdline"]));
    }

    [Theory]
    [InlineData("../outside", TarEntryType.RegularFile, null)]
    [InlineData("sys/link", TarEntryType.SymbolicLink, "../../../etc")]
    [InlineData("sys/link", TarEntryType.SymbolicLink, "/etc/passwd")]
    public void A_bundle_that_leads_out_of_its_folder_is_refused(string name, TarEntryType type, string? target)
    {
        using var packed = new MemoryStream();
        using (var zip = new GZipStream(packed, CompressionMode.Compress, leaveOpen: true))
        using (var tar = new TarWriter(zip))
        {
            var entry = new PaxTarEntry(type, name);
            if (target is not null)
                entry.LinkName = target;
            tar.WriteEntry(entry);
        }
        packed.Position = 0;
        Assert.Throws<AgentException>(() => Bundle.Unpack(packed, _folder.Path));
        Assert.False(File.Exists(_folder.Path + "/../outside"));
    }

    [Fact]
    public void What_is_no_bundle_is_refused_with_words()
    {
        File.WriteAllText(_folder.File("x.tar.gz"), "not a bundle");
        using var file = File.OpenRead(_folder.File("x.tar.gz"));
        Assert.Contains("no bundle", Assert.Throws<AgentException>(() => Bundle.Unpack(file, _folder.File("there"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Posting, 0)]
    [InlineData("intel-client", 1)]
    [InlineData("nested-without-iommu", 2)]
    public void The_commands_exit_code_says_how_it_stands_and_its_bundle_says_the_same(string name, int exitCode)
    {
        using var host = new RecordedMachine(name);
        var bundle = _folder.File("b.tar.gz");
        Assert.Equal(exitCode, DoctorCommand.Create().Parse(["--recorded", host.Root.Path, "--bundle", bundle]).Invoke());
        Assert.Equal(exitCode, DoctorCommand.Create().Parse(["--recorded", bundle, "--json"]).Invoke());
        Assert.Equal(3, DoctorCommand.Create().Parse(["--recorded", _folder.File("nothing")]).Invoke());
    }

    [Fact]
    public void The_daemon_keeps_the_topology_and_tells_a_change_once()
    {
        using var host = new RecordedMachine("topology-changed");
        var state = host.Root.At(State);
        var signal = new AsyncSignal();
        var events = new EventLog(signal, new FakeTimeProvider());
        var source = new LatestSource<DoctorReport>(signal, r => new AgentMessage { Report = r });
        var feed = new DoctorFeed(new HostDoctor(host.Root, State), source, events, state, new FakeTimeProvider());
        feed.Look();
        feed.Look();
        var told = new List<AgentEvent>();
        while (events.Next() is { } message)
            told.Add(message.Event);
        Assert.Equal(["0000:00:1f.0", "0000:00:1f.4", "0000:00:1f.6", "0000:af:00.0", "dmar2"], told.Select(e => e.Device).Order(StringComparer.Ordinal));
        Assert.All(told, e => Assert.Equal(("topology-changed", "warning"), (e.Kind, e.Severity)));
        Assert.Contains("i801_smbus", told.Single(e => e.Device == "0000:00:1f.4").Message, StringComparison.Ordinal);
        Assert.Equal(5, source.Latest!.Findings.Count(f => f is { Id: "topology", Severity: "warning" }));

        // The next boot without a change compares with this one.
        host.Write("/proc/sys/kernel/random/boot_id", "00000000-0000-0000-0000-000000000003");
        Assert.Contains("ok topology", Lines(host));
    }

    [Fact]
    public void A_damaged_record_is_written_anew()
    {
        using var host = new RecordedMachine(Posting);
        host.Write(State + "/topology.json", "{\"current\": [");
        Assert.Contains("info topology", Lines(host));
        Diagnose(host).Memory.Save(host.Root.At(State));
        host.Write("/proc/sys/kernel/random/boot_id", "00000000-0000-0000-0000-000000000009");
        Assert.Contains("ok topology", Lines(host));
    }

    private static Diagnosis Diagnose(RecordedMachine host) => new HostDoctor(host.Root, State).Diagnose();

    private static List<string> Lines(RecordedMachine host) => [.. Diagnose(host).Findings.Select(f => $"{f.Severity} {f.Id} {f.Subject}".TrimEnd())];

    private static Dictionary<string, byte[]> Entries(Diagnosis diagnosis, string hostName)
    {
        using var packed = new MemoryStream();
        Bundle.Write(packed, diagnosis.Files, hostName);
        packed.Position = 0;
        using var tar = new TarReader(new GZipStream(packed, CompressionMode.Decompress));
        var entries = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        while (tar.GetNextEntry(copyData: true) is { } entry)
        {
            using var data = new MemoryStream();
            entry.DataStream?.CopyTo(data);
            entries[entry.Name] = data.ToArray();
        }
        return entries;
    }
}
