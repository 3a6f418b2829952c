using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Pages;

namespace Exitless.Web.Tests;

public sealed class HostPagesTests : DashboardContext
{
    [Fact]
    public async Task With_no_hosts_the_page_offers_the_exact_enrolment_command()
    {
        var page = Show<Hosts>();

        Assert.Contains("No hosts yet", page.Find(Id("hosts-empty")).TextContent, StringComparison.Ordinal);
        await page.Find(Id("make-enrolment-token")).ClickAsync(new());

        var command = page.WaitForElement(Id("enrol-command")).TextContent;
        Assert.Equal("exitless-agent enrol --server https://localhost:7444 --token one-time-token --authority-fingerprint sha256:00ff\nexitless-agent run --server https://localhost:7444", command);
        Assert.Equal([("enrolment-token", "admin")], Store.Asked);
    }

    [Fact]
    public void A_refused_enrolment_token_is_told_in_words()
    {
        Store.Refusal = new ProblemException(ProblemKind.Unavailable, "no-authority", "There is no CA.", "Its key is not readable.", "See the data folder's owner.");
        var page = Show<Hosts>();

        page.Find(Id("make-enrolment-token")).Click();

        page.WaitForAssertion(() => Assert.Contains("There is no CA. Its key is not readable. See the data folder's owner.", page.Markup, StringComparison.Ordinal));
        Assert.Empty(page.FindAll(Id("enrol-command")));
    }

    [Fact]
    public void A_host_whose_link_is_lost_is_never_green()
    {
        Store.AddHost("h1", connected: false);

        var state = Show<Hosts>().WaitForElement(Id("host-state"));

        Assert.Equal("Link lost", state.TextContent);
        Assert.Equal("bad", state.GetAttribute("data-tone"));
    }

    [Fact]
    public void A_missing_capability_shows_its_remedy_first()
    {
        var host = Store.AddHost("h1", capabilities: [new("kvm", true, "/dev/kvm opens", null), new("iommu", false, "No IOMMU groups.", "Boot with intel_iommu=on.")]);

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        var first = page.WaitForElement($"{Id("capabilities")} li");
        Assert.Contains("iommu", first.TextContent, StringComparison.Ordinal);
        Assert.Equal("Boot with intel_iommu=on.", first.QuerySelector(".remedy")!.TextContent);
    }

    [Fact]
    public void VMs_of_other_monitors_are_shown_with_their_grades_and_nothing_to_press()
    {
        var host = Store.AddHost("h1");
        Store.Hosts.ObservedVms.Add(new ObservedVmDto(412, "web", "/usr/bin/qemu-system-x86_64", 2200, 1000, 2.2, null,
            [new("0000:01:10.0", 0, 0, "idle"), new("0000:01:10.0", 1, 1000, "injected")], MemoryStore.Epoch));

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        var row = page.WaitForElement(Id("observed-vm"));
        Assert.Equal("web", row.QuerySelector(".row-name")!.TextContent);
        Assert.Contains("412 qemu-system-x86_64", row.TextContent, StringComparison.Ordinal);
        Assert.Contains("2.20", row.TextContent, StringComparison.Ordinal);
        Assert.Equal("injected", Assert.Single(row.QuerySelectorAll(".grade")).TextContent);
        Assert.Empty(row.QuerySelectorAll("button, a"));
    }

    [Fact]
    public void What_the_doctor_found_stands_worst_first_with_evidence_and_a_remedy_to_copy()
    {
        var host = Store.AddHost("h1");
        Store.Hosts.Findings.Add(new(host.Id, "h1", "kvm", null, FindingSeverity.Ok, "KVM is loaded", [new("/dev/kvm", "there")], null, false, MemoryStore.Epoch));
        Store.Hosts.Findings.Add(new(host.Id, "h1", "iommu-posting", "dmar0", FindingSeverity.Warning, "dmar0 cannot post interrupts", [new("/sys/class/iommu/dmar0/intel-iommu/cap", "1c0000c40660462")], "Firmware: turn off the integrated graphics.", true, MemoryStore.Epoch));
        Store.Hosts.Findings.Add(new(host.Id, "h1", "vfio", null, FindingSeverity.Blocker, "VFIO is not loaded", [new("/dev/vfio/vfio", "(not there)")], "modprobe vfio-pci", false, MemoryStore.Epoch));

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        var section = page.WaitForElement(Id("findings"));
        Assert.Equal(["finding-vfio", "finding-iommu-posting", "finding-kvm"], section.QuerySelectorAll(".findings > li").Select(li => li.GetAttribute("data-testid")));
        Assert.Contains("1 blocker, 1 warning", section.TextContent, StringComparison.Ordinal);
        Assert.Equal("modprobe vfio-pci", page.Find(Id("remedy-vfio")).TextContent);
        var posting = page.Find(Id("finding-iommu-posting"));
        Assert.Equal("warn", posting.QuerySelector(".state")!.GetAttribute("data-tone"));
        Assert.Contains("1c0000c40660462", posting.QuerySelector(".evidence")!.TextContent, StringComparison.Ordinal);
        Assert.Contains("next boot", posting.TextContent, StringComparison.Ordinal);
        Assert.NotNull(page.Find(Id("finding-kvm")).Closest("details"));
    }

    [Fact]
    public void The_fleets_page_names_the_host_of_each_trouble_and_leaves_out_the_rest()
    {
        var page = Show<Findings>();
        Assert.Contains("Nothing to do", page.WaitForElement(Id("findings-empty")).TextContent, StringComparison.Ordinal);
        var (a, b) = (Store.AddHost("a"), Store.AddHost("b"));
        Store.Hosts.Findings.Add(new(a.Id, "a", "avic", null, FindingSeverity.Warning, "AVIC is turned off", [], "modprobe kvm_amd", false, MemoryStore.Epoch));
        Store.Hosts.Findings.Add(new(a.Id, "a", "kvm", null, FindingSeverity.Ok, "KVM is loaded", [], null, false, MemoryStore.Epoch));
        Store.Hosts.Findings.Add(new(b.Id, "b", "iommu", null, FindingSeverity.Blocker, "There is no IOMMU", [], "Firmware: turn on AMD-Vi (IOMMU).", true, MemoryStore.Epoch));

        Store.Feed.Tell(ChangeKind.Host, b.Id);
        var rows = page.WaitForElement(Id("findings")).QuerySelectorAll(Id("list-row"));

        Assert.Equal(["b", "a"], rows.Select(row => row.QuerySelector("a")!.TextContent));
        Assert.Equal($"/hosts/{b.Id}", rows[0].QuerySelector("a")!.GetAttribute("href"));
    }

    [Fact]
    public void A_host_whose_agent_has_no_doctor_has_no_such_section()
    {
        var host = Store.AddHost("h1");

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        page.WaitForElement(Id("capabilities"));
        Assert.Empty(page.FindAll(Id("findings")));
    }

    [Fact]
    public void VFs_stand_below_their_PF_with_owner_and_reason()
    {
        var host = Store.AddHost("h1");
        Store.AddVf(host, "0000:01:10.2", "0000:01:00.0", 1, inUse: "eth7 is a port of bridge br0");
        Store.AddVf(host, "0000:01:10.0", "0000:01:00.0", 0, owner: new VmReferenceDto(Guid.CreateVersion7(), "demo"));
        Store.AddPf(host, "0000:02:00.0", 64, 0);
        Store.AddPf(host, "0000:01:00.0", 7, 2);

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        var rows = page.WaitForElement(Id("devices")).QuerySelectorAll("tbody tr").Select(row => row.QuerySelector("td")!.TextContent).ToArray();
        Assert.Equal(["0000:02:00.0", "0000:01:00.0", "0000:01:10.0", "0000:01:10.2"], rows);
        Assert.Contains("demo", page.Find(Id("device-0000:01:10.0")).TextContent, StringComparison.Ordinal);
        Assert.Contains("eth7 is a port of bridge br0", page.Find(Id("device-0000:01:10.2")).TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void The_topology_shows_each_VF_at_its_PF_on_its_node_with_its_owner()
    {
        var host = Store.AddHost("h1");
        Store.AddPf(host, "0000:01:00.0", 7, 2);
        var owner = new VmReferenceDto(Guid.CreateVersion7(), "demo");
        Store.AddVf(host, "0000:01:10.0", "0000:01:00.0", 0, owner: owner);
        Store.AddVf(host, "0000:01:10.2", "0000:01:00.0", 1);

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        var node = page.WaitForElement(Id("topology")).QuerySelector(".topology-node")!;
        Assert.Contains("CPUs 0\u20131", node.TextContent, StringComparison.Ordinal);
        Assert.Equal($"/vms/{owner.Id}", node.QuerySelector("a.vf-box")!.GetAttribute("href"));
        Assert.Equal(["owned", "free"], node.QuerySelectorAll(".vf-box").Select(vf => vf.GetAttribute("data-use")));
    }

    [Fact]
    public void The_VF_dialog_names_the_limit_and_shows_the_refusal_at_the_field()
    {
        var host = Store.AddHost("h1");
        Store.AddPf(host, "0000:01:00.0", 7, 0);
        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        page.WaitForElement(Id("set-vfs-0000:01:00.0")).Click();
        page.WaitForAssertion(() => Assert.Contains("can have up to 7 VFs", page.Find(".mud-dialog").TextContent, StringComparison.Ordinal));
        Store.Refusal = ProblemException.ForField(ProblemKind.Invalid, "too-many-vfs", "Too many VFs.", "count", "9 VFs were asked for; the PF can have 7.", "Ask for 0 to 7.");
        page.Find(Id("vf-count")).Input("9");
        page.Find(Id("submit")).Click();

        page.WaitForAssertion(() => Assert.Contains("9 VFs were asked for; the PF can have 7.", page.Find(".mud-dialog .mud-input-error").ParentElement!.TextContent, StringComparison.Ordinal));
        Assert.Contains("Ask for 0 to 7.", page.Find(Id("dialog-error")).TextContent, StringComparison.Ordinal);

        page.Find(Id("vf-count")).Input("3");
        page.Find(Id("submit")).Click();
        page.WaitForAssertion(() => Assert.Empty(page.FindAll(".mud-dialog")));
        Assert.Equal([("set 0000:01:00.0 3", "admin")], Store.Asked);
    }

    [Fact]
    public void VFs_cannot_be_ordered_from_a_host_whose_link_is_lost()
    {
        var host = Store.AddHost("h1", connected: false);
        Store.AddPf(host, "0000:01:00.0", 7, 0);

        var page = Show<HostDetail>(p => p.Add(x => x.Id, host.Id));

        Assert.True(page.WaitForElement(Id("set-vfs-0000:01:00.0")).HasAttribute("disabled"));
    }

    [Fact]
    public void An_unknown_host_is_told_in_words()
    {
        var page = Show<HostDetail>(p => p.Add(x => x.Id, Guid.Empty));

        Assert.Contains("Host not found.", page.WaitForElement(Id("page-failure")).TextContent, StringComparison.Ordinal);
    }
}
