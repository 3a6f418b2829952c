using Exitless.Lab.Machine;

namespace Exitless.Lab.Tests.Machine;

public sealed class QemuCommandTests
{
    private static readonly LabHostOptions Plain = new() { Name = "h1" };

    private static IReadOnlyList<string> Build(LabHostOptions options)
        => QemuCommand.Build(options, RunFolder.Of("/run/lab", options.Name), "/k", ["-L", "/fw"]);

    private static string Devices(LabHostOptions options) => string.Join(' ', Build(options));

    [Fact]
    public void A_plain_host_has_what_device_assignment_needs()
    {
        var arguments = Build(Plain);
        Assert.Contains("max,+svm,+npt,+x2apic", arguments);
        Assert.Contains("q35-pcihost.pci-hole64-size=0", arguments);
        Assert.Contains("tcg,thread=multi", arguments);
        Assert.Equal("2048M", arguments[arguments.ToList().IndexOf("-m") + 1]);
        var devices = arguments.Where((_, i) => i > 0 && arguments[i - 1] == "-device").ToList();
        Assert.Equal("intel-iommu,intremap=on,eim=on,caching-mode=on,aw-bits=48", devices[0]);
        Assert.Contains("pcie-root-port,id=port0,slot=1,chassis=1,pref32-reserve=4M", devices);
        Assert.Single(devices, d => d.StartsWith("igb,bus=port0,netdev=nic0,romfile=,mac=52:54:00:", StringComparison.Ordinal));
        Assert.DoesNotContain(arguments, a => a.Contains("nvme", StringComparison.Ordinal) || a.Contains("9p", StringComparison.Ordinal));
    }

    [Fact]
    public void Each_switch_takes_away_one_property()
    {
        Assert.DoesNotContain("-device intel-iommu", Devices(Plain with { Iommu = false }));
        Assert.Contains("intel-iommu,intremap=off,caching-mode=on,aw-bits=48", Devices(Plain with { InterruptRemapping = false }));
        Assert.Contains("aw-bits=39", Devices(Plain with { AddressWidth = 39 }));
        Assert.Contains("max,-svm,+x2apic", Devices(Plain with { Svm = false }));
        Assert.DoesNotContain("igb", Devices(Plain with { Nics = 0 }));
    }

    [Fact]
    public void Devices_are_added_by_switches_and_by_hand()
    {
        var two = Devices(Plain with { Nics = 2, Nvme = true, QemuArguments = ["-device", "edu"] });
        Assert.Contains("igb,bus=port1,netdev=nic1", two);
        Assert.Contains("net=10.0.4.0/24", two);
        Assert.Contains("sriov_max_vfs=2", two);
        Assert.EndsWith("-device edu", two);
    }

    [Fact]
    public void Hosts_have_addresses_of_their_own_and_keep_them()
    {
        string[] Macs(string name) => [.. Build(Plain with { Name = name, Nics = 2 }).Where(a => a.Contains("mac=", StringComparison.Ordinal)).Select(a => a[(a.IndexOf("mac=", StringComparison.Ordinal) + 4)..])];
        Assert.Equal(Macs("h1"), Macs("h1"));
        Assert.Equal(6, Macs("h1").Concat(Macs("h2")).Distinct().Count());
        Assert.Equal(Macs("h1")[0], QemuCommand.ManagementMac("h1"));
    }

    [Fact]
    public void A_comma_in_a_path_is_doubled()
    {
        var arguments = string.Join(' ', QemuCommand.Build(Plain, RunFolder.Of("/run/a,b", "h1"), "/k", []));
        Assert.Contains("path=/run/a,,b/h1/console.log", arguments);
        Assert.Contains("unix:/run/a,,b/h1/qmp.sock,server=on", arguments);
    }
}
