using Exitless.Agent.Events;
using Exitless.Agent.Grading;
using Exitless.Agent.Hangs;
using Exitless.Agent.Link;
using Exitless.Agent.Telemetry;
using Exitless.Agent.Wanted;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.Hangs;

public sealed class HangTests
{
    private const int Limit = 30;
    private const string Vm = "vm-1";
    private static readonly VcpuLook Spinning = new(0, Started: true, Halted: false, 0xffffffff81000000, InterruptsOn: false, TimerArmed: false, Pending: 0x41, InService: null);
    private static readonly VcpuLook Parked = new(1, Started: false, Halted: false, 0, InterruptsOn: false, TimerArmed: false, Pending: null, InService: null);

    [Fact]
    public void A_guest_that_takes_no_interrupts_hangs_when_it_is_seen_twice_and_for_long_enough()
    {
        var judge = new HangJudge(Limit);
        Assert.Null(judge.Judge(Limit + 5, [Spinning, Parked]));
        Assert.Equal("vCPU 0 runs at RIP 0xffffffff81000000 with interrupts off, and leaves interrupt 0x41 waiting. No vCPU has a timer armed.", judge.Judge(Limit + 10, [Spinning, Parked]));

        Assert.Null(Twice(Limit - 1, Spinning));
        judge.Moved();
        Assert.Null(judge.Judge(Limit + 10, [Spinning, Parked]));
    }

    [Fact]
    public void A_guest_that_will_wake_or_has_nothing_to_take_does_not()
    {
        Assert.Null(Twice(Limit, Spinning with { TimerArmed = true }));
        Assert.Null(Twice(Limit, Spinning with { Pending = null }));
        Assert.Null(Twice(Limit, Spinning with { Started = false }));
        Assert.Null(Twice(Limit, Spinning, new VcpuLook(1, true, true, 0, true, TimerArmed: true, null, null)));
        // Another interrupt than before: one was taken.
        var judge = new HangJudge(Limit);
        judge.Judge(Limit, [Spinning]);
        Assert.Null(judge.Judge(Limit + 5, [Spinning with { Pending = 0x51 }]));
    }

    [Fact]
    public void The_words_say_what_keeps_each_vCPU()
    {
        Assert.Equal("vCPU 0 is halted with interrupts off, and leaves interrupt 0x41 waiting. No vCPU has a timer armed.", Twice(Limit, Spinning with { Halted = true }));
        Assert.Equal("vCPU 0 runs at RIP 0x10 and has not ended interrupt 0x61, and leaves interrupt 0x41 waiting. vCPU 1 is halted. No vCPU has a timer armed.",
            Twice(Limit, Spinning with { Rip = 0x10, InterruptsOn = true, InService = 0x61 }, new VcpuLook(1, true, true, 0, true, false, null, null)));
    }

    [Fact]
    public async Task A_hang_stands_at_the_running_VM_until_the_guest_moves_again()
    {
        var (signal, time) = (new AsyncSignal(), new FakeTimeProvider());
        var source = new LatestSource<ObservedState>(signal, o => new AgentMessage { Observed = o });
        var board = new ObservedBoard(source);
        board.Open();
        board.Report(new ObservedVm { VmId = Vm, State = VmState.Running });
        var events = new EventLog(signal, time);
        using var sampler = new Sampler(new SampleFeed(signal, time), new HostRoot("/nowhere"), events, time, NullLogger.Instance);
        var watch = new HangWatch(() => [], sampler, board, events, Limit, time);
        var looks = 0;
        Task<IReadOnlyList<VcpuLook>> Look()
        {
            looks++;
            return Task.FromResult<IReadOnlyList<VcpuLook>>([Spinning]);
        }
        await watch.LookAsync(Vm, 5, Look);
        Assert.Equal(0, looks);
        await watch.LookAsync(Vm, 25, Look);
        Assert.Null(source.Latest!.Vms[0].Problem);
        await watch.LookAsync(Vm, 30, Look);
        Assert.Equal(("guest-hung", VmState.Running), (source.Latest!.Vms[0].Problem.Code, source.Latest.Vms[0].State));
        Assert.Equal("guest-hung", events.Next()!.Event.Kind);
        await watch.LookAsync(Vm, 35, Look);
        Assert.Equal((2, null), (looks, events.Next()));
        await watch.LookAsync(Vm, 0, Look);
        Assert.Null(source.Latest!.Vms[0].Problem);
        Assert.Equal("guest-recovered", events.Next()!.Event.Kind);
    }

    [Fact]
    public void A_guest_has_moved_when_it_took_an_interrupt_or_left_for_a_reason_of_its_own()
    {
        Assert.False(new VcpuActivity(250, 250, 0, 0, 0, 1_000_000_000).HasMoved);
        Assert.False(new VcpuActivity(0, 0, 0, 30, 0, 0).HasMoved);
        Assert.False(new VcpuActivity(255, 250, 0, 0, 0, 0).HasMoved);
        Assert.True(new VcpuActivity(250, 250, 1, 0, 0, 0).HasMoved);
        Assert.True(new VcpuActivity(30, 10, 0, 0, 0, 0).HasMoved);
    }

    private static string? Twice(int still, params VcpuLook[] look)
    {
        var judge = new HangJudge(Limit);
        judge.Judge(still, look);
        return judge.Judge(still, look);
    }
}
