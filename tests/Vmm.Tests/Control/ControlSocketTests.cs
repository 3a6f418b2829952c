using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Control;

/// <summary>The control socket and its client, with a scripted machine behind them: the protocol is what is tested.</summary>
public sealed class ControlSocketTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;
    private readonly CancellationTokenSource _limit = new(Limit);
    private ScriptedMachine? _machine;
    private VmmProblemException? _refusal;
    private Task _server = Task.CompletedTask;

    private string SocketPath => Path.Combine(_folder, "vmm.sock");

    private CancellationToken Cancel => _limit.Token;

    public ValueTask InitializeAsync()
    {
        _server = VmmProcess.RunAsync(SocketPath, Launch, TimeProvider.System, Cancel);
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
    public async Task A_launch_passes_config_and_descriptors_and_hello_tells_them_later()
    {
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal(VmmState.Empty, client.Hello.State);
        var config = Config();
        using var descriptors = Descriptors();
        await client.LaunchAsync(config, descriptors, Cancel);

        Assert.Equal("kernel bytes", Text(_machine!.Descriptors.Kernel!));
        Assert.Equal("initrd bytes", Text(_machine.Descriptors.Initrd!));
        Assert.Equal("group bytes", Text(Assert.Single(_machine.Descriptors.Groups)));
        await using var later = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal(VmmState.Running, later.Hello.State);
        Assert.Equal(config.VmId, later.Hello.VmId);
        Assert.Equal(config.Devices, later.Hello.Config!.Devices);
        Assert.Equal(Environment.ProcessId, later.Hello.ProcessId);
        Assert.InRange(later.Hello.StartedAt, 1, long.MaxValue);
    }

    [Fact]
    public async Task A_refused_launch_says_why_and_leaves_the_process_empty()
    {
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        using var descriptors = Descriptors();
        _refusal = new VmmProblemException("memory-too-small", "t", "d", "r", "memoryBytes");
        var problem = await Assert.ThrowsAsync<VmmProblemException>(() => client.LaunchAsync(Config(), descriptors, Cancel));
        Assert.Equal(("memory-too-small", "t", "d", "r", "memoryBytes"), (problem.Code, problem.Title, problem.Detail, problem.Remedy, problem.Field));
        _refusal = null;
        await client.LaunchAsync(Config(), descriptors, Cancel);
        var again = await Assert.ThrowsAsync<VmmProblemException>(() => client.LaunchAsync(Config(), descriptors, Cancel));
        Assert.Equal("vm-already-launched", again.Code);
    }

    [Fact]
    public async Task Console_output_comes_from_the_ring_then_live_and_the_end_comes_last()
    {
        await using var client = await LaunchedAsync();
        Print("before ");
        var events = new List<VmmEvent>();
        await foreach (var e in client.EventsAsync(Cancel))
        {
            if (events.Count == 0)
            {
                Print("after");
                _machine!.Finish(VmEndReason.PowerOff, "done");
            }
            events.Add(e);
        }
        var output = events.OfType<VmmConsoleOutput>().ToList();
        Assert.Equal("before after", string.Concat(output.Select(o => Encoding.UTF8.GetString(o.Data.Span))));
        Assert.Equal(0, output[0].Offset);
        Assert.Equal((VmEndReason.PowerOff, "done"), Assert.IsType<VmmEnded>(events[^1]).End is var end ? (end.Reason, end.Text) : default);
        Assert.True(_machine!.Disposed);
        Assert.Equal("before after", await File.ReadAllTextAsync(Path.Combine(_folder, "console.log"), Cancel));
        await using var later = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal(VmmState.Ended, later.Hello.State);
        Assert.Equal(VmEndReason.PowerOff, later.Hello.End!.Reason);
    }

    [Fact]
    public async Task What_the_process_holds_is_told_with_a_machine_and_without()
    {
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal((0, 0, null), await client.TakeResourcesAsync(Cancel) is var none ? (none.Gsis, none.MemorySlots, none.DmaMappingsLeft) : default);
        using (var descriptors = Descriptors())
            await client.LaunchAsync(Config(), descriptors, Cancel);
        var held = await client.TakeResourcesAsync(Cancel);
        Assert.Equal((27, 3, 65_530L), (held.Gsis, held.MemorySlots, held.DmaMappingsLeft));
        Assert.InRange(held.AllocatedBytes, 1, long.MaxValue);
        GC.Collect();
        Assert.InRange((await client.TakeResourcesAsync(Cancel)).Collections, held.Collections + 1, int.MaxValue);
    }

    [Fact]
    public async Task Pause_resume_and_new_starts_are_passed_on()
    {
        await using var client = await LaunchedAsync();
        await client.PauseAsync(Cancel);
        Assert.True(_machine!.IsPaused);
        await using (var other = await VmmClient.ConnectAsync(SocketPath, Cancel))
            Assert.True(other.Hello.Paused);
        await client.ResumeAsync(Cancel);
        Assert.False(_machine.IsPaused);

        var restart = new VmRestart(2, VmEndReason.GuestPanic, "panicked", 1234);
        _machine.StartAgain(restart);
        var events = new List<VmmEvent>();
        await foreach (var e in client.EventsAsync(Cancel))
        {
            if (e is VmmRestarted)
                _machine.Finish(VmEndReason.PowerOff, "done");
            events.Add(e);
        }
        Assert.Equal(restart, Assert.Single(events.OfType<VmmRestarted>()).Restart);
        await using var later = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal((false, restart), (later.Hello.Paused, later.Hello.LastRestart));
        Assert.Equal("vm-not-running", (await Assert.ThrowsAsync<VmmProblemException>(() => client.PauseAsync(Cancel))).Code);
    }

    [Fact]
    public async Task A_late_subscriber_gets_the_newest_256_KiB_with_true_offsets()
    {
        await using var client = await LaunchedAsync();
        Print(new string('a', 100_000));
        Print(new string('b', ConsoleRing.Capacity));
        _machine!.Finish(VmEndReason.Reset, "reset");
        long received = 0, next = 100_000;
        await foreach (var e in client.EventsAsync(Cancel))
        {
            if (e is not VmmConsoleOutput output)
                continue;
            Assert.Equal(next, output.Offset);
            Assert.DoesNotContain((byte)'a', output.Data.ToArray());
            next += output.Data.Length;
            received += output.Data.Length;
        }
        Assert.Equal(ConsoleRing.Capacity, received);
    }

    [Fact]
    public async Task Typing_the_power_button_statistics_and_vectors_reach_the_machine()
    {
        await using var client = await LaunchedAsync();
        await client.WriteConsoleAsync(Encoding.UTF8.GetBytes("ls\n"), Cancel);
        await client.PowerButtonAsync(Cancel);
        Assert.Equal("ls\n", Encoding.UTF8.GetString(_machine!.Typed.ToArray()));
        Assert.Equal(1, _machine.PowerButtons);
        using var statistics = await client.TakeStatisticsAsync(Cancel);
        Assert.Equal("vm bytes", Text(statistics.Vm));
        Assert.Equal("vcpu bytes", Text(Assert.Single(statistics.Vcpus)));
        var vectors = Assert.Single(await client.TakeVectorsAsync(Cancel));
        Assert.Equal(new VectorInfo(1, 25, true, false), Assert.Single(vectors.Vectors));
        Assert.Equal(new VcpuLook(0, true, false, 0xffffffff81000000, false, false, 0x41, null), Assert.Single(await client.LookAsync(Cancel)));
        var full = await Assert.ThrowsAsync<VmmProblemException>(() => client.WriteConsoleAsync(new byte[SerialPort.InputCapacity + 1], Cancel));
        Assert.Equal("console-input-full", full.Code);
    }

    [Fact]
    public async Task Ending_a_running_vm_releases_it_says_killed_and_ends_the_process()
    {
        await using var client = await LaunchedAsync();
        var events = client.EventsAsync(Cancel).GetAsyncEnumerator(Cancel);
        Print("x");
        Assert.True(await events.MoveNextAsync());
        await client.EndAsync(Cancel);
        Assert.True(_machine!.Disposed);
        Assert.True(await events.MoveNextAsync());
        Assert.Equal(VmEndReason.Killed, Assert.IsType<VmmEnded>(events.Current).End.Reason);
        await _server.WaitAsync(Limit, Cancel);
        Assert.False(File.Exists(SocketPath));
        await events.DisposeAsync();
    }

    [Fact]
    public async Task Requests_without_a_vm_are_refused_in_words()
    {
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal("vm-not-running", (await Assert.ThrowsAsync<VmmProblemException>(() => client.PowerButtonAsync(Cancel))).Code);
        Assert.Equal("vm-not-running", (await Assert.ThrowsAsync<VmmProblemException>(() => client.TakeStatisticsAsync(Cancel))).Code);
    }

    [Fact]
    public async Task A_client_that_does_not_speak_the_protocol_is_cut_off_and_others_are_served()
    {
        using var garbage = UnixSocket.Connect(SocketPath);
        garbage.Send(Enumerable.Repeat((byte)0xff, 64).ToArray(), []);
        var none = new Queue<SafeFileHandle>();
        var buffer = new byte[4096];
        int count;
        do
        {
            Assert.True(Poll.IsReadable(garbage.Handle, (int)Limit.TotalMilliseconds));
            count = garbage.Receive(buffer, none);
        }
        while (count > 0);
        Assert.Equal(0, count);
        await using var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        Assert.Equal(VmmState.Empty, client.Hello.State);
    }

    [Fact]
    public void The_socket_is_for_its_owner_only() =>
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));

    [Fact]
    public async Task A_socket_path_beyond_the_kernels_room_is_refused_with_the_limit()
    {
        var e = await Assert.ThrowsAsync<ArgumentException>(() => VmmProcess.RunAsync("/tmp/" + new string('x', 200), Launch, TimeProvider.System, Cancel));
        Assert.Contains("107", e.Message, StringComparison.Ordinal);
    }

    private async Task<VmmClient> LaunchedAsync()
    {
        var client = await VmmClient.ConnectAsync(SocketPath, Cancel);
        using var descriptors = Descriptors();
        await client.LaunchAsync(Config(), descriptors, Cancel);
        return client;
    }

    private void Print(string text)
    {
        foreach (var value in Encoding.UTF8.GetBytes(text))
            _machine!.Console.Write(value);
    }

    private ScriptedMachine Launch(VmConfig config, VmmDescriptors descriptors, ConsoleRing console, Action ended) =>
        _refusal is not null ? throw _refusal : _machine = new ScriptedMachine(descriptors, console, ended);

    private VmConfig Config() => new()
    {
        VmId = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()),
        Name = "demo",
        Vcpus = 1,
        MemoryBytes = 256 << 20,
        CommandLine = "console=ttyS0",
        ConsoleLogPath = Path.Combine(_folder, "console.log"),
        HasInitrd = true,
        Devices = [new VfioDeviceConfig("0000:01:10.0", 7)],
    };

    private static VmmDescriptors Descriptors() => new()
    {
        Kvm = Memory("kvm bytes"),
        Kernel = Memory("kernel bytes"),
        Initrd = Memory("initrd bytes"),
        VfioContainer = Memory("container bytes"),
        Groups = [Memory("group bytes")],
    };

    private static SafeFileHandle Memory(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var file = MemoryFile.Create("test", bytes.Length);
        Assert.Equal(bytes.Length, Files.TryWriteAt(file, bytes, 0, out _));
        return file;
    }

    private static string Text(SafeFileHandle file)
    {
        var bytes = new byte[Files.Size(file)];
        Files.ReadExactlyAt(file, bytes, 0);
        return Encoding.UTF8.GetString(bytes);
    }

    private sealed class ScriptedMachine(VmmDescriptors descriptors, ConsoleRing console, Action ended) : IMachine
    {
        public VmmDescriptors Descriptors { get; } = descriptors;

        public ConsoleRing Console { get; } = console;

        public List<byte> Typed { get; } = [];

        public int PowerButtons { get; private set; }

        public bool Disposed { get; private set; }

        public (VmEndReason Reason, string Text)? Outcome { get; private set; }

        public VmRestart? LastRestart { get; private set; }

        public bool IsPaused { get; private set; }

        public SafeFileHandle VmStatistics { get; } = Memory("vm bytes");

        public IReadOnlyList<SafeFileHandle> VcpuStatistics { get; } = [Memory("vcpu bytes")];

        public void Finish(VmEndReason reason, string text)
        {
            Outcome = (reason, text);
            ended();
        }

        public void StartAgain(VmRestart restart)
        {
            LastRestart = restart;
            ended();
        }

        public void Pause() => IsPaused = true;

        public void Resume() => IsPaused = false;

        public void PressPowerButton() => PowerButtons++;

        public void End() => Finish(VmEndReason.Killed, "ended from outside");

        public bool TryWriteConsole(ReadOnlySpan<byte> data)
        {
            if (data.Length > SerialPort.InputCapacity)
                return false;
            Typed.AddRange(data);
            return true;
        }

        public List<DeviceVectors> TakeVectors() => [new DeviceVectors("0000:01:10.0", 3, [new VectorInfo(1, 25, true, false)])];

        public List<VcpuLook> Look() => [new VcpuLook(0, true, false, 0xffffffff81000000, false, false, 0x41, null)];

        public VmmResources TakeResources(VmmResources process) => process with { Gsis = 27, MemorySlots = 3, DmaMappingsLeft = 65_530 };

        public void Dispose()
        {
            Disposed = true;
            Descriptors.Dispose();
            VmStatistics.Dispose();
            VcpuStatistics[0].Dispose();
        }
    }
}
