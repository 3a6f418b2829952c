using Exitless.Agent.Grading;
using Exitless.Agent.Link;
using Exitless.Agent.Watching;
using Exitless.Contracts;
using Exitless.Linux;
using Microsoft.Extensions.Time.Testing;
using ForeignVm = Exitless.Agent.Watching.ForeignVm;

namespace Exitless.Agent.Tests.Watching;

public sealed class ForeignVmTests : IDisposable
{
    private const string Vf = "0000:01:10.0";
    private readonly TemporaryFolder _folder = new();

    public ForeignVmTests()
    {
        Write("proc/interrupts", Interrupts(0));
        Write("proc/412/cmdline", "qemu-system-x86_64\0-name\0guest=web,debug-threads=on\0-m\0256\0");
        Write("proc/412/status", "Name:\tqemu-system-x86\nTgid:\t412\nPid:\t412\n");
        Write("proc/412/comm", "qemu-system-x86\n");
        Write("proc/412/stat", Stat(0));
        Write("proc/412/statm", "100 50 0 0 0 0 0\n");
        Link("proc/412/fd/17", "/dev/vfio/11");
        Link("proc/412/fd/16", "/dev/vfio/vfio");
        Link("proc/412/fd/3", "/dev/kvm");
        Directory.CreateDirectory(Path.Combine(_folder.Path, $"sys/kernel/iommu_groups/11/devices/{Vf}"));
        Directory.CreateDirectory(Path.Combine(_folder.Path, "sys/kernel/iommu_groups/11/devices/0000:00:03.0"));
        Link($"sys/bus/pci/devices/{Vf}/driver", "../../../bus/pci/drivers/vfio-pci");
        Link("sys/bus/pci/devices/0000:00:03.0/driver", "../../../bus/pci/drivers/pcieport");
        Count(0, 0);
    }

    private HostRoot Root => new(_folder.Path);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_VM_is_found_with_its_name_and_the_devices_that_it_drives()
    {
        var vm = ForeignVm.Examine(Root, Assert.Single(ForeignVm.Names(Root)), 412);
        Assert.Equal((412, "web"), (vm.ProcessId, vm.Name));
        Assert.Equal([Vf], vm.Addresses);
    }

    [Fact]
    public void Its_seconds_are_graded_like_those_of_our_own()
    {
        using var watch = new Watch(Root);
        Assert.Empty(watch.Read());
        Count(2200, 1000);
        Write("proc/412/stat", Stat(100));
        Write("proc/interrupts", Interrupts(1000));
        var second = Assert.Single(watch.Read());
        Assert.Equal((2200, 2.2, (double?)null), (second.Exits, second.ExitsPerInterrupt, second.MarginalExitsPerInterrupt));
        Assert.Equal(new WatchedVector(Vf, 1, 1000, VectorGrade.Injected), Assert.Single(second.Vectors));
        Assert.Contains("2.20 exits each", WatchOutput.Text([second]), StringComparison.Ordinal);
        Assert.Contains("\"grade\":\"injected\"", WatchOutput.Json(second, DateTimeOffset.UnixEpoch), StringComparison.Ordinal);
        Assert.Contains("\"marginalExitsPerInterrupt\":null", WatchOutput.Json(second, DateTimeOffset.UnixEpoch), StringComparison.Ordinal);
    }

    [Fact]
    public void The_control_plane_is_told_rates_over_the_time_between_two_readings()
    {
        var time = new FakeTimeProvider();
        var source = new LatestSource<ForeignVms>(new AsyncSignal(), f => new AgentMessage { Foreign = f });
        using var feed = new ForeignFeed(new Watch(Root, ratioSamples: 1), source, time);
        feed.Look();
        Assert.Empty(source.Latest!.Vms);
        Count(22000, 10000);
        Write("proc/412/stat", Stat(100));
        Write("proc/interrupts", Interrupts(10000));
        time.Advance(ForeignFeed.Period);
        feed.Look();
        var vm = Assert.Single(source.Latest!.Vms);
        Assert.Equal((412u, "web", "qemu-system-x86_64", 2200.0, 2.2), (vm.ProcessId, vm.Name, vm.Program, vm.ExitsPerSecond, vm.ExitsPerInterrupt));
        Assert.Equal(new ForeignVector { Address = Vf, Vector = 1, InterruptsPerSecond = 1000, Grade = "injected" }, Assert.Single(vm.Vectors));
        Assert.False(vm.HasMarginalExitsPerInterrupt);
    }

    [Fact]
    public void Our_own_VMs_are_not_told_as_those_of_others_and_no_debugfs_is_no_VM()
    {
        using var watch = new Watch(Root, passedOver: process => process == 412);
        watch.Read();
        Assert.Equal((0, 0), (watch.Read().Count, watch.Looks));
        Directory.Delete(Path.Combine(_folder.Path, "sys/kernel/debug"), recursive: true);
        var source = new LatestSource<ForeignVms>(new AsyncSignal(), f => new AgentMessage { Foreign = f });
        using var feed = new ForeignFeed(new Watch(Root), source, TimeProvider.System);
        feed.Look();
        Assert.Empty(source.Latest!.Vms);
    }

    [Fact]
    public void A_VM_that_a_thread_has_made_which_is_no_more_is_told_by_its_vCPUs()
    {
        Directory.Move(Path.Combine(_folder.Path, "sys/kernel/debug/kvm/412-12"), Path.Combine(_folder.Path, "sys/kernel/debug/kvm/430-12"));
        Assert.Null(ForeignVm.ProcessOf(Root, "430-12"));
        Write("sys/kernel/debug/kvm/430-12/vcpu0/pid", "421\n");
        Write("proc/421/status", "Name:\tCPU 0/KVM\nTgid:\t412\nPid:\t421\n");
        Assert.Equal(412, ForeignVm.ProcessOf(Root, "430-12"));
        Assert.Equal([421], ForeignVm.VcpuThreads(Root, "430-12"));
        using var watch = new Watch(Root);
        watch.Read();
        Assert.Equal(412, Assert.Single(watch.Read()).Vm.ProcessId);
    }

    [Fact]
    public void A_VM_that_has_ended_is_forgotten()
    {
        using var watch = new Watch(Root);
        watch.Read();
        Assert.Single(watch.Read());
        Directory.Delete(Path.Combine(_folder.Path, "sys/kernel/debug/kvm/412-12"), recursive: true);
        Assert.Empty(watch.Read());
    }

    [Fact]
    public void Descriptors_are_looked_at_seldom_and_a_device_that_is_plugged_in_is_found_all_the_same()
    {
        Directory.Delete(Path.Combine(_folder.Path, "proc/412/fd"), recursive: true);
        Link("proc/412/fd/3", "/dev/kvm");
        using var watch = new Watch(Root);
        for (var second = 0; second < 60; second++)
            Assert.All(watch.Read(), one => Assert.Empty(one.Vm.Addresses));
        Assert.InRange(watch.Looks, 1, 7);   // at 1, 2, 4, 8, 16, 32 and 62 s
        Link("proc/412/fd/17", "/dev/vfio/11");
        for (var second = 0; second < 30; second++)
            watch.Read();
        Assert.Equal(1, Assert.Single(Assert.Single(watch.Read()).Vectors).Vector);
        Assert.InRange(watch.Looks, 1, 8);
    }

    [Fact]
    public void Without_debugfs_it_says_what_to_do()
    {
        Directory.Delete(Path.Combine(_folder.Path, "sys/kernel/debug"), recursive: true);
        Assert.Contains("mount -t debugfs", Assert.Throws<AgentException>(() => ForeignVm.Names(Root)).Remedy, StringComparison.Ordinal);
    }

    private static string Interrupts(long count) => $"           CPU0       CPU1\n  45:          0 {count,10}  IR-PCI-MSIX-{Vf}    1-edge      vfio-msix[1]({Vf})\n";

    // proc_pid_stat(5): user time is field 14, guest time field 43, in ticks of 10 ms.
    private static string Stat(int ticks) => $"412 (qemu-system-x86) S {string.Join(' ', Enumerable.Range(4, 49).Select(field => field is 14 or 43 ? $"{ticks}" : "0"))}\n";

    private void Count(long exits, long injections)
    {
        foreach (var (name, value) in new (string, long)[]
                 {
                     ("exits", exits), ("irq_exits", injections), ("irq_injections", injections), ("halt_wakeup", 0),
                     ("halt_successful_poll", 0), ("halt_wait_ns", 0), ("halt_poll_success_ns", 0),
                 })
            Write($"sys/kernel/debug/kvm/412-12/{name}", $"{value}\n");
    }

    private void Write(string path, string text)
    {
        var full = Path.Combine(_folder.Path, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    private void Link(string path, string target)
    {
        var full = Path.Combine(_folder.Path, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.CreateSymbolicLink(full, target);
    }
}
