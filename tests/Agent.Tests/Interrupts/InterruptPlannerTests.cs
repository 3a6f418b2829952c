using Exitless.Agent.Interrupts;
using Exitless.Agent.Tests.Trees;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Tests.Interrupts;

/// <summary>Which path a VM gets on recorded machines, and what a host that cannot meet a policy says.</summary>
public sealed class InterruptPlannerTests
{
    [Theory]
    [InlineData("intel-posting-everywhere", "posted")]
    [InlineData("amd-zen4-x2avic", "posted")]
    [InlineData("intel-one-unit-without-posting", "injected")]
    [InlineData("intel-client", "injected")]
    [InlineData("amd-zen2-avic-off", "injected")]
    [InlineData("amd-snp", "injected")]
    [InlineData("lab-host", "injected")]
    public void Auto_takes_the_best_path_that_the_host_has(string name, string path)
    {
        using var machine = new RecordedMachine(name);
        var plan = InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Auto), []);
        Assert.Equal(path, plan.Path);
        Assert.False(plan.Settings.Injected);
        if (path == "posted")
            Assert.Equal("posted", InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Posted), []).Path);
        else
            Assert.Equal("interrupts-not-posted", Refusal(machine.Root, InterruptPolicy.Posted).Code);
    }

    [Fact]
    public void A_refusal_names_the_unit_that_cannot_post_and_the_remedy_and_the_field()
    {
        using var machine = new RecordedMachine("intel-one-unit-without-posting");
        var problem = Refusal(machine.Root, InterruptPolicy.Posted);
        Assert.Contains("cannot post interrupts", problem.Detail);
        Assert.Contains("Firmware", problem.Remedy);
        Assert.Contains("auto", problem.Remedy);
        Assert.Equal("interrupts", problem.Field);
    }

    [Fact]
    public void Direct_interrupts_are_refused_where_KVM_has_none()
    {
        using var machine = new RecordedMachine("lab-host");
        Assert.Equal("interrupts-not-direct", Refusal(machine.Root, InterruptPolicy.Eli).Code);
        Assert.Equal("interrupts-unknown", Refusal(machine.Root, (InterruptPolicy)77).Code);
    }

    [Fact]
    public void Where_nothing_posts_and_KVM_has_ELI_auto_and_eli_make_interrupts_direct()
    {
        using var machine = new RecordedMachine("lab-host");
        machine.Write("/sys/module/kvm_amd/parameters/eli", "Y");
        machine.Write("/sys/devices/system/cpu/online", "0-3");
        machine.Write("/sys/devices/system/cpu/isolated", "1-3");
        foreach (var policy in new[] { InterruptPolicy.Auto, InterruptPolicy.Eli })
        {
            var plan = InterruptPlanner.Plan(machine.Root, Vm(policy), []);
            Assert.True(plan is { Path: "direct", Settings: { Direct: VmDirectInterrupts.Full, HidePvEoi: true, HideX2Apic: false, Injected: false } });
            Assert.True(plan.For([1, 2], 2) is { Path: "direct", Settings: { OwnCpus: true, Direct: VmDirectInterrupts.Full } });
        }
        Assert.True(InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Injected), []) is { Path: "injected", Settings.Direct: VmDirectInterrupts.None });
        Assert.Equal("interrupts-not-posted", Refusal(machine.Root, InterruptPolicy.Posted).Code);
        // A VM without a device has nothing to be delivered.
        Assert.Equal("injected", InterruptPlanner.Plan(machine.Root, new WantedVm { Vcpus = 1, MemoryMib = 300, Interrupts = InterruptPolicy.Eli }, []).Path);
    }

    [Fact]
    public void Without_a_CPU_for_each_vCPU_auto_injects_and_eli_is_refused()
    {
        using var machine = new RecordedMachine("lab-host");
        machine.Write("/sys/module/kvm_amd/parameters/eli", "Y");
        machine.Write("/sys/devices/system/cpu/isolated", "1");
        Assert.True(InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Auto), []).For([], 2) is { Path: "injected", Settings: { OwnCpus: false, HidePvEoi: false, Direct: VmDirectInterrupts.None } });
        var problem = Assert.Throws<ProblemException>(() => InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Eli), []).For([], 2)).Problem;
        Assert.Equal(("interrupts-not-direct", "interrupts"), (problem.Code, problem.Field));
        Assert.Contains("2 for this VM. The host has isolated 1.", problem.Detail);
        machine.Write("/sys/devices/system/cpu/isolated", "1-2");
        machine.Write("/sys/devices/system/cpu/online", "0-2");
        Assert.Contains("other VMs have them", Assert.Throws<ProblemException>(() => InterruptPlanner.Plan(machine.Root, Vm(InterruptPolicy.Eli), []).For([], 2)).Problem.Detail);
    }

    [Theory]
    [InlineData("lab-host", "N", "turned off", "eli=1")]
    [InlineData("lab-host", null, "no direct interrupts", "src/Eli/build")]
    [InlineData("amd-zen4-x2avic", null, "posts them in hardware", "auto")]
    [InlineData("amd-zen2-avic-off", null, "6.12", "auto")]
    [InlineData("intel-client", null, "AMD", "auto")]
    public void A_refusal_of_direct_interrupts_says_why_and_what_to_do(string name, string? parameter, string reason, string remedy)
    {
        using var machine = new RecordedMachine(name);
        if (parameter is not null)
            machine.Write("/sys/module/kvm_amd/parameters/eli", parameter);
        var problem = Refusal(machine.Root, InterruptPolicy.Eli);
        Assert.Equal("interrupts-not-direct", problem.Code);
        Assert.Contains(reason, problem.Detail);
        Assert.Contains(remedy, problem.Remedy);
        Assert.Contains("auto", problem.Remedy);
    }

    [Fact]
    public void Injected_keeps_a_host_that_posts_from_posting_and_asks_nothing_of_one_that_does_not()
    {
        using var posts = new RecordedMachine("intel-posting-everywhere");
        Assert.True(InterruptPlanner.Plan(posts.Root, Vm(InterruptPolicy.Injected), []) is { Path: "injected", Settings.Injected: true });
        using var injects = new RecordedMachine("lab-host");
        Assert.True(InterruptPlanner.Plan(injects.Root, Vm(InterruptPolicy.Injected), []) is { Path: "injected", Settings.Injected: false });
    }

    [Fact]
    public void X2APIC_is_hidden_where_AVIC_cannot_virtualize_it_and_PV_EOI_where_EOI_does_not_exit()
    {
        using var both = new RecordedMachine("amd-zen4-x2avic");
        Assert.True(InterruptPlanner.Plan(both.Root, Vm(InterruptPolicy.Auto), []).Settings is { HideX2Apic: false, HidePvEoi: true });
        // Zen 1 to 3: the same, but for x2AVIC.
        var cpuinfo = both.Root.Proc("cpuinfo");
        File.WriteAllText(cpuinfo, File.ReadAllText(cpuinfo).Replace(" x2avic", "", StringComparison.Ordinal));
        Assert.True(InterruptPlanner.Plan(both.Root, Vm(InterruptPolicy.Auto), []).Settings is { HideX2Apic: true, HidePvEoi: true });
        using var neither = new RecordedMachine("amd-zen2-avic-off");
        Assert.True(InterruptPlanner.Plan(neither.Root, Vm(InterruptPolicy.Auto), []).Settings is { HideX2Apic: false, HidePvEoi: false });
    }

    [Fact]
    public void CPUs_are_isolated_ones_of_the_devices_node_first_and_no_second_thread_of_a_core_before_every_core_has_one()
    {
        using var host = new RecordedHost();
        host.Write("sys/devices/system/cpu/online", "0-9");
        host.Write("sys/devices/system/cpu/isolated", "2-9,12");
        host.Write("sys/devices/system/node/node1/cpulist", "6-9");
        foreach (var cpu in Enumerable.Range(2, 8))
            host.Write($"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", cpu % 4 is 0 or 1 ? $"{cpu - 2},{cpu}" : $"{cpu},{cpu + 2}");
        Assert.Equal([6, 7, 8, 9, 2, 3, 4, 5], InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto), [1, 1]).Candidates);
        Assert.Equal([2, 3, 6, 7, 4, 5, 8, 9], InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto), []).Candidates);
    }

    [Fact]
    public void Memory_is_of_the_largest_pages_that_the_devices_node_has_enough_of()
    {
        using var host = new RecordedHost();
        host.Write("sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "512");
        host.Write("sys/devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages", "2");
        Assert.True(InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto, 1024), [1]).Memory is { PageBytes: 1 << 30, Nodes: [{ HostNode: 1, Bytes: 1 << 30, Vcpus: [0, 1] }] });
        Assert.True(InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto, 512), [1]).Memory is { PageBytes: 2 << 20 });
        Assert.Null(InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto, 1536), [1]).Memory);
        Assert.Null(InterruptPlanner.Plan(host.Root, Vm(InterruptPolicy.Auto, 512), [0]).Memory);
    }

    [Fact]
    public void Each_CPU_has_one_owner_and_a_VM_gets_all_that_it_needs_or_none()
    {
        var claims = new CpuClaims();
        Assert.Equal([4, 5], claims.Take("a", [4, 5, 6], 2));
        Assert.Empty(claims.Take("b", [4, 5, 6], 2));
        Assert.Equal([6], claims.Take("b", [4, 5, 6], 1));
        claims.Release("a");
        claims.Restore("c", [5]);
        Assert.Equal([4], claims.Take("d", [4, 5, 6], 1));
    }

    [Fact]
    public void The_hosts_interrupts_leave_CPUs_that_vCPUs_have_and_those_to_come_stay_away()
    {
        using var host = new RecordedHost();
        host.Write("sys/devices/system/cpu/online", "0-35");
        host.Write("sys/devices/system/cpu/isolated", "2-33");
        host.Write("proc/irq/default_smp_affinity", "f,ffffffff");
        host.Write("proc/irq/24/smp_affinity_list", "0-35");
        host.Write("proc/irq/25/smp_affinity_list", "4");
        host.Write("proc/irq/26/smp_affinity_list", "0-1");
        Assert.Equal((2, 0), InterruptSteering.KeepAway(host.Root, [4, 5]));
        Assert.StartsWith("0,1,2,3,6,7,", host.Text("proc/irq/24/smp_affinity_list"));
        Assert.StartsWith("0,1,34,35", host.Text("proc/irq/25/smp_affinity_list"));
        Assert.StartsWith("0-1", host.Text("proc/irq/26/smp_affinity_list"));
        Assert.StartsWith("0000000c,00000003", host.Text("proc/irq/default_smp_affinity"));
    }

    private static WantedVm Vm(InterruptPolicy policy, uint mebibytes = 300) => new()
    {
        Vcpus = 2,
        MemoryMib = mebibytes,
        Interrupts = policy,
        Devices = { new WantedDevice { Address = RecordedHost.Vf0 } },
    };

    private static Problem Refusal(HostRoot root, InterruptPolicy policy) => Assert.Throws<ProblemException>(() => InterruptPlanner.Plan(root, Vm(policy), [])).Problem;
}
