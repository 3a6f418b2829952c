using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Pages;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Web.Tests;

public sealed class VmPagesTests : DashboardContext
{
    [Fact]
    public void Without_a_host_the_page_sends_people_to_enrol_one()
    {
        var page = Show<Vms>();

        Assert.Equal("/hosts", page.WaitForElement($"{Id("vms-no-hosts")} a").GetAttribute("href"));
        Assert.Empty(page.FindAll(Id("create-vm")));
    }

    [Fact]
    public void Without_a_VM_the_page_says_how_many_VFs_are_free()
    {
        Store.AddHost("h1", freeVfs: 3);

        Assert.Contains("3 VFs are free", Show<Vms>().WaitForElement(Id("vms-empty")).TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void The_create_dialog_shows_owned_VFs_as_off_with_their_reason()
    {
        var host = Store.AddHost("h1", freeVfs: 1);
        Store.AddVf(host, "0000:01:10.0", "0000:01:00.0", 0, owner: new VmReferenceDto(Guid.CreateVersion7(), "demo"));
        Store.AddVf(host, "0000:01:10.2", "0000:01:00.0", 1);
        var page = OpenDialog();

        Assert.True(page.Find(Id("vf-0000:01:10.0")).HasAttribute("disabled"));
        Assert.Contains("owned by demo", page.Find(Id("vf-picker")).TextContent, StringComparison.Ordinal);
        Assert.False(page.Find(Id("vf-0000:01:10.2")).HasAttribute("disabled"));
    }

    [Fact]
    public void The_create_dialog_asks_for_what_was_filled_in_and_opens_the_new_VM()
    {
        var host = Store.AddHost("h1", freeVfs: 1);
        Store.AddVf(host, "0000:01:10.2", "0000:01:00.0", 1);
        var page = OpenDialog();

        page.Find(Id("vm-name")).Input("web-1");
        page.Find(Id("vf-0000:01:10.2")).Change(true);
        page.Find(Id("mac-0000:01:10.2")).Change("02:00:00:00:00:07");
        page.Find(Id("submit")).Click();

        page.WaitForAssertion(() => Assert.NotNull(Store.Vms.Created));
        var request = Store.Vms.Created!;
        Assert.Equal(("web-1", host.Id, "debian.vmlinuz", "demo.initrd", "console=ttyS0", 1, 512, true), (request.Name, request.HostId, request.Kernel, request.Initrd, request.CommandLine, request.Vcpus, request.MemoryMib, request.Start));
        Assert.Equal([new VmDeviceRequest("0000:01:10.2", "02:00:00:00:00:07")], request.Devices!);
        page.WaitForAssertion(() => Assert.EndsWith($"/vms/{Store.Vms.CreatedId}", Services.GetRequiredService<NavigationManager>().Uri, StringComparison.Ordinal));
    }

    [Fact]
    public void A_refused_VM_shows_each_error_at_its_field_and_stays_open()
    {
        var host = Store.AddHost("h1", freeVfs: 1);
        Store.AddVf(host, "0000:01:10.2", "0000:01:00.0", 1);
        var page = OpenDialog();
        Store.Refusal = new ProblemException(ProblemKind.Invalid, "invalid", "The VM cannot be created.", "Two fields are wrong.", "Mend them.", new Dictionary<string, string[]>(StringComparer.Ordinal)
        {
            ["name"] = ["'-x' does not begin with a letter or digit."],
            ["devices[0].address"] = ["0000:01:10.2 is owned by the VM demo."],
        });

        page.Find(Id("submit")).Click();

        page.WaitForAssertion(() => Assert.Equal("0000:01:10.2 is owned by the VM demo.", page.Find(Id("vf-error")).TextContent));
        Assert.Contains(page.FindAll(".mud-input-helper-text"), text => text.TextContent.Contains("'-x' does not begin with a letter or digit.", StringComparison.Ordinal));
        Assert.Equal("Mend them.", page.Find(Id("dialog-error")).TextContent.Trim());
    }

    [Fact]
    public void A_refusal_that_names_no_field_is_shown_whole()
    {
        Store.AddHost("h1");
        var page = OpenDialog();
        Store.Refusal = new ProblemException(ProblemKind.Conflict, "host-not-linked", "h1 is not linked.", "It was last heard 3 min ago.", "See that its agent runs.");

        page.Find(Id("submit")).Click();

        page.WaitForAssertion(() => Assert.Equal("h1 is not linked. It was last heard 3 min ago. See that its agent runs.", page.Find(Id("dialog-error")).TextContent.Trim()));
    }

    [Theory]
    [InlineData(VmState.Running, "stop force-off")]
    [InlineData(VmState.Stopping, "force-off")]
    [InlineData(VmState.Stopped, "start delete")]
    [InlineData(VmState.Failed, "start delete")]
    public void Actions_follow_what_is_observed(VmState state, string offered)
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "demo", state);

        var page = ShowVm(vm);

        page.WaitForElement(Id("vm-state"));
        string[] all = ["start", "stop", "force-off", "delete"];
        Assert.Equal(offered, string.Join(' ', all.Where(action => page.FindAll(Id(action)).Count > 0)));
    }

    [Fact]
    public void A_start_is_asked_for_in_the_persons_name()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "demo", VmState.Stopped);

        ShowVm(vm).WaitForElement(Id("start")).Click();

        Assert.Equal([($"start {vm.Id}", "admin")], Store.Asked);
    }

    [Fact]
    public void A_delete_needs_the_name_typed()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "demo", VmState.Stopped);
        var page = ShowVm(vm);

        page.WaitForElement(Id("delete")).Click();
        var confirm = page.WaitForElement(Id("confirm"));
        Assert.True(confirm.HasAttribute("disabled"));
        page.Find(Id("confirm-text")).Input("dem");
        Assert.True(page.Find(Id("confirm")).HasAttribute("disabled"));
        page.Find(Id("confirm-text")).Input("demo");
        page.Find(Id("confirm")).Click();

        page.WaitForAssertion(() => Assert.Equal([($"delete {vm.Id}", "admin")], Store.Asked));
    }

    [Fact]
    public void A_cancelled_force_off_changes_nothing()
    {
        var page = ShowVm(Store.AddVm(Store.AddHost("h1"), "demo", VmState.Running));

        page.WaitForElement(Id("force-off")).Click();
        page.WaitForElement(".mud-dialog-actions button").Click();

        page.WaitForAssertion(() => Assert.Empty(page.FindAll(".mud-dialog")));
        Assert.Empty(Store.Asked);
    }

    [Fact]
    public void A_failure_is_shown_with_its_remedy()
    {
        var problem = new ProblemDto("group-not-viable", "The IOMMU group is not viable.", "0000:01:10.5 is held by igbvf.", "Bind it to vfio-pci.", "devices[0].address");
        var page = ShowVm(Store.AddVm(Store.AddHost("h1"), "demo", VmState.Failed, problem));

        var notice = page.WaitForElement(Id("vm-problem"));
        Assert.Contains("0000:01:10.5 is held by igbvf.", notice.TextContent, StringComparison.Ordinal);
        Assert.Equal("Bind it to vfio-pci.", notice.QuerySelector(".remedy")!.TextContent);
    }

    [Fact]
    public void A_guest_that_hangs_is_not_green_and_its_graphs_go_on()
    {
        var problem = new ProblemDto("guest-hung", "The guest hangs", "vCPU 0 runs at RIP 0x10 with interrupts off.", "Force it off.", null);
        var page = ShowVm(Store.AddVm(Store.AddHost("h1"), "demo", VmState.Running, problem));

        Assert.Contains("with interrupts off", page.WaitForElement(Id("vm-problem")).TextContent, StringComparison.Ordinal);
        Assert.Equal(("bad", "The guest hangs"), (page.Find(Id("vm-state")).GetAttribute("data-tone"), page.Find(Id("vm-state")).TextContent.Trim()));
        Assert.NotNull(page.Find(Id("vm-graphs")));
    }

    [Fact]
    public void A_running_operation_shows_its_steps()
    {
        var host = Store.AddHost("h1");
        var vm = Store.AddVm(host, "demo", VmState.Starting);
        var operation = Store.AddOperation(host, vm, OperationState.Running, "Start VM demo on h1");
        Store.Vms.All[0] = vm with { ActiveOperationId = operation.Id };

        var page = ShowVm(vm);

        var card = page.WaitForElement(Id("active-operation"));
        Assert.Contains("Start VM demo on h1", card.TextContent, StringComparison.Ordinal);
        Assert.Contains("bind 0000:01:10.0 to vfio-pci", card.QuerySelector(Id("steps"))!.TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_only_last_heard_is_marked_stale()
    {
        var state = ShowVm(Store.AddVm(Store.AddHost("h1", connected: false), "demo", VmState.Running)).WaitForElement(Id("vm-state"));

        Assert.Equal("Running, last heard", state.TextContent);
        Assert.Equal("stale", state.GetAttribute("data-tone"));
    }

    [Fact]
    public void A_VM_that_is_deleted_while_it_is_shown_leads_back_to_the_list()
    {
        var vm = Store.AddVm(Store.AddHost("h1"), "demo", VmState.Stopped);
        var page = ShowVm(vm);
        page.WaitForElement(Id("vm-state"));

        Store.Vms.All.Clear();
        Store.Feed.Tell(ChangeKind.Vm, vm.Id);

        page.WaitForAssertion(() => Assert.EndsWith("/vms", Services.GetRequiredService<NavigationManager>().Uri, StringComparison.Ordinal));
    }

    private IRenderedComponent<Stage> ShowVm(VmDto vm) => Show<VmDetail>(p => p.Add(x => x.Id, vm.Id));

    private IRenderedComponent<Stage> OpenDialog()
    {
        var page = Show<Vms>();
        page.WaitForElement(Id("create-vm")).Click();
        page.WaitForElement(Id("submit"));
        return page;
    }
}
