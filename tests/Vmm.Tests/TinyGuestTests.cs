using System.Diagnostics;
using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Tests.Boot;

namespace Exitless.Vmm.Tests;

/// <summary>Tests that count what the whole process does, so no other test may run beside them.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class AloneDefinition;

/// <summary>The whole VMM, from the control socket to KVM, with guests of a few instructions.</summary>
[Collection("alone")]
public sealed class TinyGuestTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;
    private readonly CancellationTokenSource _limit = new(Limit);
    private Task _server = Task.CompletedTask;

    private string SocketPath => Path.Combine(_folder, "vmm.sock");

    private CancellationToken Cancel => _limit.Token;

    public ValueTask InitializeAsync()
    {
        _server = VmmProcess.RunAsync(SocketPath, Cancel);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_server.IsCompleted)
        {
            await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
            await client.EndAsync(Cancel);
        }
        await _server;
        _limit.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_guest_prints_its_command_line_and_switches_itself_off()
    {
        var (output, end) = await RunAsync([.. TinyKernel.PrintCommandLine, .. TinyKernel.PowerOff], "console=ttyS0 quiet");
        Assert.Equal("console=ttyS0 quiet", output);
        Assert.Equal(VmEndReason.PowerOff, end.Reason);
    }

    [Fact]
    public async Task The_host_bridge_is_in_the_ecam_window_and_absent_memory_reads_all_ones()
    {
        var (output, end) = await RunAsync([.. TinyKernel.PrintDword(0xe0000000), .. TinyKernel.PrintDword(0xe0008000), .. TinyKernel.PrintDword(0xd0000000), .. TinyKernel.PowerOff]);
        Assert.Equal("36-1B-08-00-FF-FF-FF-FF-FF-FF-FF-FF", BitConverter.ToString(Encoding.Latin1.GetBytes(output)));
        Assert.Equal(VmEndReason.PowerOff, end.Reason);
    }

    [Theory]
    [InlineData(4, null, "01-02-03")]
    [InlineData(6, "2,3,1", "01-02-04-05-06")]
    [InlineData(64, null, null)]
    public async Task The_first_vcpu_starts_the_others_by_inter_processor_interrupts(int vcpus, string? topology, string? apicIds)
    {
        var groups = topology?.Split(',').Select(int.Parse).ToArray();
        var config = TinyKernel.Config() with { Vcpus = vcpus, Topology = groups is null ? null : new VmTopology(groups[0], groups[1], groups[2]) };
        var (output, end) = await RunAsync(TinyKernel.StartOthers(vcpus - 1, TinyKernel.PowerOff), config);
        Assert.Equal(VmEndReason.PowerOff, end.Reason);
        var expected = apicIds ?? BitConverter.ToString([.. Enumerable.Range(1, vcpus - 1).Select(i => (byte)i)]);
        Assert.Equal(expected, BitConverter.ToString([.. Encoding.Latin1.GetBytes(output).Order()]));
    }

    [Fact]
    public async Task All_vcpus_are_ended_when_one_of_them_ends_the_guest_and_each_has_its_statistics()
    {
        await using var client = await LaunchAsync(TinyKernel.Spin.ToArray(), TinyKernel.Config() with { Vcpus = 4, VcpuCpus = [0] });
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        Assert.Equal(4, statistics.Vcpus.Select(v => KvmStatistics.Open(v).Id).Distinct().Count());
        await client.EndAsync(Cancel);
        await _server.WaitAsync(Limit, TimeProvider.System, Cancel);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_serial_ports_interrupt_reaches_the_local_apic_through_either_kind_of_ioapic(bool split)
    {
        var (output, end) = await RunAsync([.. TinyKernel.WaitForSerialInterrupt, .. TinyKernel.PrintDword(0xfee00220), .. TinyKernel.PowerOff], TinyKernel.Config() with { SplitIrqchip = split });
        Assert.Equal("01-00-00-00", BitConverter.ToString(Encoding.Latin1.GetBytes(output)));
        Assert.Equal(VmEndReason.PowerOff, end.Reason);
    }

    [Fact]
    public async Task More_vcpus_than_kvm_gives_are_refused_with_its_limit()
    {
        using var kvm = TinyKernel.OpenKvm();
        var problem = Assert.Throws<VmmProblemException>(() => new KvmSystem(kvm).CheckVcpus(CpuTopology.OneSocket(100_000)));
        Assert.Equal(("vcpus-beyond-kvm", "vcpus"), (problem.Code, problem.Field));
        Assert.Contains("100000 were asked for", problem.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("port 0xCF9", VmEndReason.Reset)]
    [InlineData("keyboard controller", VmEndReason.Reset)]
    [InlineData("triple fault", VmEndReason.TripleFault)]
    [InlineData("panicked", VmEndReason.GuestPanic)]
    public async Task Each_way_to_end_is_told_apart(string way, VmEndReason reason)
    {
        var (_, end) = await RunAsync(way switch { "port 0xCF9" => TinyKernel.Reset.ToArray(), "triple fault" => TinyKernel.TripleFault.ToArray(), "panicked" => TinyKernel.Panic.ToArray(), _ => TinyKernel.KeyboardReset.ToArray() });
        Assert.Equal(reason, end.Reason);
        Assert.Contains(way, end.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_that_never_exits_is_ended_from_outside_and_its_statistics_are_readable_while_it_runs()
    {
        await using var client = await LaunchAsync(TinyKernel.Spin.ToArray(), "x");
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        var vm = KvmStatistics.Open(statistics.Vm);
        var vcpu = KvmStatistics.Open(Assert.Single(statistics.Vcpus));
        Assert.StartsWith("kvm-", vm.Id, StringComparison.Ordinal);
        Assert.Contains(vcpu.Items, i => i is { Name: "exits", Kind: KvmStatisticKind.Cumulative, Count: 1 });
        Assert.Contains(vcpu.Items, i => i is { Name: "halt_wait_hist", Kind: KvmStatisticKind.LogHistogram, Unit: KvmStatisticUnit.Seconds, Exponent: -9, Count: > 1 });
        Assert.Equal(vcpu.Items.Sum(i => i.Count), vcpu.ValueCount);
        var values = new long[vcpu.ValueCount];
        vcpu.Read(values);

        var begun = Stopwatch.GetTimestamp();
        await client.EndAsync(Cancel);
        Assert.InRange(Stopwatch.GetElapsedTime(begun), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        await _server.WaitAsync(Limit, TimeProvider.System, Cancel);
    }

    [Fact]
    public async Task The_statistics_count_every_exit_of_the_guest()
    {
        await using var client = await LaunchAsync([.. TinyKernel.PrintCommandLine, .. TinyKernel.Spin], new string('a', 1000));
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        long received = 0;
        await foreach (var e in client.EventsAsync(Cancel))
        {
            received += ((VmmConsoleOutput)e).Data.Length;
            if (received == 1000)
                break;
        }
        var vcpu = KvmStatistics.Open(statistics.Vcpus[0]);
        var values = new long[vcpu.ValueCount];
        vcpu.Read(values);
        // Not io_exits: a paravirtual KVM, as some build machines have, does not count those apart.
        Assert.InRange(values[vcpu.Items.Single(i => i.Name == "exits").Index], 1000, 100_000);
    }

    [Fact]
    public async Task A_guest_starts_again_in_the_same_process_on_a_reset()
    {
        await using var client = await LaunchAsync(TinyKernel.ResetUntil(3), TinyKernel.Config() with { OnReset = VmOnReset.Restart });
        var events = new List<VmmEvent>();
        await foreach (var e in client.EventsAsync(Cancel))
            events.Add(e);
        Assert.Equal("aaa", string.Concat(events.OfType<VmmConsoleOutput>().Select(o => Encoding.Latin1.GetString(o.Data.Span))));
        Assert.Equal(VmEndReason.PowerOff, Assert.IsType<VmmEnded>(events[^1]).End.Reason);
        var last = events.OfType<VmmRestarted>().Last().Restart;
        Assert.Equal((2, VmEndReason.Reset), (last.Count, last.Reason));
    }

    [Fact]
    public async Task All_vcpus_start_again_as_they_did_at_first()
    {
        var config = TinyKernel.Config() with { Vcpus = 4, OnReset = VmOnReset.Restart };
        var (output, end) = await RunAsync(TinyKernel.StartOthers(3, TinyKernel.ResetUntil(3)), config);
        Assert.Equal(VmEndReason.PowerOff, end.Reason);
        Assert.Equal("\u0001\u0001\u0001\u0002\u0002\u0002\u0003\u0003\u0003aaa", string.Concat(output.Order()));
    }

    [Theory]
    [InlineData(true, VmEndReason.Reset, "port 0xCF9")]
    [InlineData(false, VmEndReason.GuestPanic, "panicked")]
    public async Task A_guest_that_resets_again_and_again_is_ended(bool reset, VmEndReason reason, string says)
    {
        var (_, end) = await RunAsync((reset ? TinyKernel.Reset : TinyKernel.Panic).ToArray(), TinyKernel.Config() with { OnReset = VmOnReset.Restart });
        Assert.Equal(reason, end.Reason);
        Assert.Contains(says, end.Text, StringComparison.Ordinal);
        Assert.Contains($"{RestartLimit.MostQuick + 1} times", end.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_paused_guest_stands_still_and_goes_on_where_it_was()
    {
        // out 0x80, al; jmp
        await using var client = await LaunchAsync([0xe6, 0x80, 0xeb, 0xfc], TinyKernel.Config() with { Vcpus = 2 });
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        var vcpu = KvmStatistics.Open(statistics.Vcpus[0]);
        var index = vcpu.Items.Single(i => i.Name == "exits").Index;
        for (var round = 0; round < 3; round++)
        {
            await client.PauseAsync(Cancel);
            await client.PauseAsync(Cancel);
            var still = Exits();
            await Task.Delay(100, Cancel);
            Assert.Equal(still, Exits());
            await client.ResumeAsync(Cancel);
            await client.ResumeAsync(Cancel);
            while (Exits() < still + 1000)
                await Task.Delay(1, Cancel);
        }
        await client.PauseAsync(Cancel);
        await client.EndAsync(Cancel);
        await _server.WaitAsync(Limit, TimeProvider.System, Cancel);

        long Exits()
        {
            var values = new long[vcpu.ValueCount];
            vcpu.Read(values);
            return values[index];
        }
    }

    [Fact]
    public async Task A_kernel_with_the_entry_of_pvh_finds_its_command_line()
    {
        // 32-bit code: mov edx, 0x3f8; mov ecx, [ebx+24]; each byte there to the port.
        byte[] code = [0xba, 0xf8, 0x03, 0, 0, 0x8b, 0x4b, 0x18, 0x8a, 0x01, 0x84, 0xc0, 0x74, 0x04, 0xee, 0x41, 0xeb, 0xf6, .. TinyKernel.PowerOff];
        using var descriptors = new VmmDescriptors { Kvm = TinyKernel.OpenKvm(), Kernel = TinyKernel.File(new ElfFile { Code = code }.ToArray()) };
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        await client.LaunchAsync(TinyKernel.Config("console=ttyS0 pvh"), descriptors, Cancel);
        var (output, end) = await ReadAsync(client);
        Assert.Equal(("console=ttyS0 pvh", VmEndReason.PowerOff), (output, end.Reason));
    }

    [Fact]
    public async Task A_failed_launch_leaves_nothing_open_and_the_next_one_works()
    {
        using var kvm = TinyKernel.OpenKvm();
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        using var descriptors = new VmmDescriptors { Kvm = kvm, Kernel = TinyKernel.File(TinyKernel.Image([.. TinyKernel.PrintCommandLine, .. TinyKernel.Spin])) };
        await Assert.ThrowsAsync<VmmProblemException>(() => client.LaunchAsync(TinyKernel.Config(memoryBytes: 2 << 20), descriptors, Cancel));
        var before = Directory.GetFiles("/proc/self/fd").Length;
        var problem = await Assert.ThrowsAsync<VmmProblemException>(() => client.LaunchAsync(TinyKernel.Config() with { VcpuCpus = [1000] }, descriptors, Cancel));
        Assert.Equal(("cpu-unavailable", "vcpuCpus"), (problem.Code, problem.Field));
        Assert.Equal(before, Directory.GetFiles("/proc/self/fd").Length);
        await client.LaunchAsync(TinyKernel.Config() with { VcpuCpus = [0] }, descriptors, Cancel);
    }

    [Fact]
    public async Task The_exit_path_allocates_nothing()
    {
        // PIO reads and writes of every size and MMIO into nothing, for ever: mov edx, 0x3fd; in al, dx; mov dx, 0xcfc; in eax, dx; out 0x80, al; mov eax, [rbx]; jmp.
        byte[] loop = [0xbb, 0, 0, 0, 0xd0, 0xba, 0xfd, 0x03, 0, 0, 0xec, 0xba, 0xfc, 0x0c, 0, 0, 0xed, 0xe6, 0x80, 0x8b, 0x03, 0xeb, 0xee];
        await using var client = await LaunchAsync(loop, "x");
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        var vcpu = KvmStatistics.Open(statistics.Vcpus[0]);
        var values = new long[vcpu.ValueCount];
        var exits = vcpu.Items.Single(i => i.Name == "exits").Index;
        vcpu.Read(values);
        var (start, allocated) = (values[exits], GC.GetTotalAllocatedBytes(precise: true));
        do vcpu.Read(values);
        while (values[exits] < start + 20_000 && !Cancel.IsCancellationRequested);
        var each = (double)(GC.GetTotalAllocatedBytes(precise: true) - allocated) / (values[exits] - start);
        // Other threads of the test process may allocate a little; a single allocation an exit would show as 24 bytes or more.
        Assert.InRange(each, 0, 4);
    }

    private Task<VmmClient> LaunchAsync(byte[] code, string commandLine) => LaunchAsync(code, TinyKernel.Config(commandLine));

    private async Task<VmmClient> LaunchAsync(byte[] code, VmConfig config)
    {
        using var descriptors = new VmmDescriptors { Kvm = TinyKernel.OpenKvm(), Kernel = TinyKernel.File(TinyKernel.Image(code)) };
        var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        await client.LaunchAsync(config, descriptors, Cancel);
        return client;
    }

    private Task<(string Output, VmEnd End)> RunAsync(byte[] code, string commandLine = "x") => RunAsync(code, TinyKernel.Config(commandLine));

    private async Task<(string Output, VmEnd End)> RunAsync(byte[] code, VmConfig config)
    {
        await using var client = await LaunchAsync(code, config);
        return await ReadAsync(client);
    }

    private async Task<(string Output, VmEnd End)> ReadAsync(VmmClient client)
    {
        var output = new StringBuilder();
        await foreach (var e in client.EventsAsync(Cancel))
        {
            if (e is VmmConsoleOutput o)
                output.Append(Encoding.Latin1.GetString(o.Data.Span));
            else if (e is VmmEnded ended)
                return (output.ToString(), ended.End);
        }
        throw new InvalidOperationException("The events ended without the guest's end.");
    }
}
