using Exitless.Agent.Events;
using Exitless.Agent.Interrupts;
using Exitless.Agent.Link;
using Exitless.Agent.Machines;
using Exitless.Agent.Sriov;
using Exitless.Agent.Tests.Trees;
using Exitless.Agent.Wanted;
using Exitless.Contracts;
using Exitless.Linux;
using Microsoft.Extensions.Logging.Abstractions;

namespace Exitless.Agent.Tests.Machines;

/// <summary>Real VMM processes on a recorded host: what goes wrong on the way leaves nothing behind, and a later agent finds out what an earlier one left.</summary>
public sealed class VmRunnerTests : IAsyncDisposable
{
    private const string Boot = "boot-1", VmId = "0198b6b2-0000-7000-8000-0000000000b1";
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "exitless-agent");
    private readonly RecordedHost _host = new();
    private readonly TemporaryFolder _folder = new();
    private readonly LatestSource<ObservedState> _observed = new(new AsyncSignal(), o => new AgentMessage { Observed = o });
    private readonly CpuClaims _cpus = new();
    private readonly VmRecordStore _records;
    private readonly VmmLauncher _launcher;
    private readonly EventLog _events = new(new AsyncSignal(), TimeProvider.System);
    private VmFleet _fleet;

    public VmRunnerTests()
    {
        // The recorded host runs on this machine's processes.
        foreach (var name in (string[])["self/status", "self/limits"])
            _host.Write("proc/" + name, File.ReadAllText("/proc/" + name));
        _records = new VmRecordStore(_folder.Path);
        _launcher = new VmmLauncher(Program, _folder.File("run"), HostRoot.Machine, TimeProvider.System);
        _fleet = Fleet(Boot);
    }

    public async ValueTask DisposeAsync()
    {
        await _fleet.DisposeAsync();
        _host.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_device_that_vfio_does_not_take_is_given_back_and_the_problem_stays_until_the_generation_changes()
    {
        var vm = Wanted(1);
        vm.Devices.Add(new WantedDevice { Address = RecordedHost.Vf0, Mac = "52:54:00:12:34:56" });
        _fleet.Apply([vm]);
        var failed = await StateAsync(VmState.Failed, 1);
        Assert.Equal("bind-failed", failed.Problem.Code);
        Assert.Equal([StepState.Done, StepState.Done, StepState.Done, StepState.Failed], failed.Steps.Select(s => s.State));
        Assert.Equal(["mac 3 0 525400123456", "mac 3 0 525400000100"], _host.Netlink.Changes);
        Assert.StartsWith("\n", _host.Text(RecordedHost.Device(RecordedHost.Vf0) + "/driver_override"));
        Assert.Empty(_host.Claims.Addresses);
        Assert.Equal(VmPhase.Idle, Assert.Single(_records.LoadAll()).Phase);

        _fleet.Apply([vm]);
        var again = Wanted(2);
        again.Kernel = "missing.vmlinuz";
        _fleet.Apply([again]);
        Assert.Equal("image-not-found", (await StateAsync(VmState.Failed, 2)).Problem.Code);
        Assert.Equal(2, _host.Netlink.Changes.Count);
    }

    [Fact]
    public async Task A_VMM_that_refuses_is_ended_with_its_reason_kept()
    {
        var vm = Wanted(1);
        vm.GuestCounts = true;
        _fleet.Apply([vm]);
        var failed = await StateAsync(VmState.Failed, 1);
        Assert.Equal("Map memory and run", failed.Steps[^1].Name);
        Assert.NotEmpty(failed.Problem.Remedy);
        Assert.Equal(0u, failed.ProcessId);
        Assert.False(File.Exists(_launcher.SocketOf(VmId)));
        Assert.False(File.Exists(_launcher.VsockOf(VmId)));
        var process = int.Parse(failed.Steps[^2].Detail.Split(' ')[1]);
        Assert.False(Directory.Exists($"/proc/{process}"), $"Process {process} is still there.");
    }

    [Fact]
    public async Task A_program_that_is_missing_is_told()
    {
        await _fleet.DisposeAsync();
        _fleet = Fleet(Boot, new VmmLauncher("/nowhere/exitless-agent", _folder.File("run"), HostRoot.Machine, TimeProvider.System));
        _fleet.Apply([Wanted(1)]);
        var failed = await StateAsync(VmState.Failed, 1);
        Assert.Equal("vmm-not-started", failed.Problem.Code);
        Assert.Contains("/nowhere/exitless-agent", failed.Problem.Detail);
    }

    [Fact]
    public async Task A_start_that_the_agent_did_not_survive_is_taken_back()
    {
        var left = await _launcher.StartAsync(VmId, default);
        _records.Save(new VmRecord
        {
            VmId = VmId,
            Name = "web",
            Generation = 1,
            Phase = VmPhase.Starting,
            BootId = Boot,
            ProcessId = left.ProcessId,
            Devices = [new BoundDevice(RecordedHost.Vf0, null, "52:54:00:00:01:00", RecordedHost.Pf, 0)],
        });
        await _fleet.AdoptAsync(default);
        await left.Exited.Within();
        await left.DisposeAsync();
        Assert.Equal(["mac 3 0 525400000100"], _host.Netlink.Changes);
        Assert.Equal((VmPhase.Idle, 0ul), _records.LoadAll().Select(r => (r.Phase, r.Generation)).Single());
        Assert.Empty(_host.Claims.Addresses);
    }

    [Fact]
    public async Task A_VM_whose_process_died_meanwhile_has_failed_and_its_device_is_free()
    {
        _records.Save(Ran(999_999_999));
        await _fleet.AdoptAsync(default);
        var failed = await StateAsync(VmState.Failed, 4);
        Assert.Equal(("vm-ended", "killed"), (failed.Problem.Code, failed.EndReason));
        Assert.Empty(_host.Claims.Addresses);
    }

    [Fact]
    public async Task A_VM_that_ran_before_the_host_was_booted_is_started_again_without_the_control_plane()
    {
        _records.Save(Ran(1) with { BootId = "boot-0" });
        await _fleet.AdoptAsync(default);
        _fleet.Apply([Wanted(4)]);
        // It is tried: on this host it gets as far as the VMM, which refuses the kernel.
        Assert.Equal("Map memory and run", (await StateAsync(VmState.Failed, 4)).Steps[^1].Name);
    }

    [Fact]
    public async Task A_process_that_does_not_answer_is_told_kept_and_ended_when_the_VM_is_to_be_off()
    {
        const int SigStop = 19;
        var left = await _launcher.StartAsync(VmId, default);
        using var process = ProcessDescriptor.Open(left.ProcessId)!;
        process.Signal(SigStop);
        _records.Save(Ran(left.ProcessId));
        await _fleet.AdoptAsync(default);
        Assert.Equal("vmm-not-answering", (await StateAsync(VmState.Failed, 4)).Problem.Code);
        Assert.False(process.HasEnded);
        Assert.Contains(RecordedHost.Vf0, _host.Claims.Addresses);

        var off = Wanted(5);
        off.Run = WantedRun.Off;
        _fleet.Apply([off]);
        await StateAsync(VmState.Stopped, 5);
        Assert.True(process.HasEnded);
        Assert.Empty(_host.Claims.Addresses);
        await left.DisposeAsync();
    }

    [Fact]
    public async Task A_VM_that_is_no_longer_wanted_is_forgotten()
    {
        var stopped = Wanted(1);
        stopped.Run = WantedRun.Stopped;
        _fleet.Apply([stopped]);
        await StateAsync(VmState.Stopped, 1);
        _fleet.Apply([]);
        await UntilAsync(o => o.Vms.Count == 0);
        Assert.Empty(_records.LoadAll());
    }

    [Fact]
    public void An_id_that_is_no_UUID_makes_no_file()
    {
        var vm = Wanted(1);
        vm.VmId = "../../etc/passwd";
        _fleet.Apply([vm]);
        Assert.Equal("vm-id-invalid", _events.Next()!.Event.Kind);
        Assert.Empty(_records.LoadAll());
    }

    [Fact]
    public async Task A_damaged_record_is_told_with_the_file()
    {
        Directory.CreateDirectory(_folder.File("vms"));
        await File.WriteAllTextAsync(_folder.File($"vms/{VmId}.json"), "{");
        Assert.Contains(VmId, (await Assert.ThrowsAsync<AgentException>(() => _fleet.AdoptAsync(default))).Message);
    }

    private static WantedVm Wanted(ulong generation) => new()
    {
        VmId = VmId,
        Generation = generation,
        Name = "web",
        Vcpus = 1,
        MemoryMib = 64,
        Kernel = "good.vmlinuz",
        Run = WantedRun.Running,
        StopSeconds = 1,
    };

    private static VmRecord Ran(int process) => new()
    {
        VmId = VmId,
        Name = "web",
        Generation = 4,
        Phase = VmPhase.Running,
        BootId = Boot,
        ProcessId = process,
        StartedAt = 1,
        Devices = [new BoundDevice(RecordedHost.Vf0, null, null, null, 0)],
    };

    private Task<ObservedVm> StateAsync(VmState state, ulong generation) =>
        UntilAsync(o => o.Vms.FirstOrDefault(v => v.VmId == VmId && v.State == state && v.Generation == generation));

    private async Task UntilAsync(Func<ObservedState, bool> holds) => await UntilAsync(o => holds(o) ? o : null);

    private async Task<T> UntilAsync<T>(Func<ObservedState, T?> pick)
        where T : class
    {
        var start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            if (_observed.Latest is { } latest && pick(latest) is { } picked)
                return picked;
            Assert.True(TimeProvider.System.GetElapsedTime(start) < Limit.Time, $"It did not come. Observed: {_observed.Latest}");
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    private VmFleet Fleet(string boot, VmmLauncher? launcher = null)
    {
        var board = new ObservedBoard(_observed);
        board.Open();
        var devices = new DevicePreparer(new VfMac(_host.Root, _host.Netlink), new VfioBinding(_host.Root), _events, () => { });
        var starter = new VmStarter(_host.Preflight, _host.Claims, _cpus, devices, launcher ?? _launcher, _host.Root);
        return new VmFleet(
            new VmServices(starter, launcher ?? _launcher, devices, _host.Claims, _cpus, _records, new InterruptSwitches(_host.Root), board, _events, new Nobody(), () => Task.CompletedTask, TimeProvider.System, NullLogger.Instance), boot);
    }

    private sealed class Nobody : IVmWatcher
    {
        public Task StartedAsync(WantedVm vm, RunningVm running) => Task.CompletedTask;

        public void Ended(string vmId)
        {
        }

        public void Removed(string vmId)
        {
        }
    }
}
