using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>
/// The agent's end of a VMM process's control socket. Calls may overlap; they are answered one after another.
/// A lost connection fails with <see cref="IOException"/>, what a person can put right with <see cref="VmmProblemException"/>.
/// </summary>
public sealed class VmmClient : IAsyncDisposable
{
    /// <summary>The protocol of this version. 2 takes devices by iommufd too.</summary>
    public const int Protocol = 2;

    /// <summary>The first protocol whose VMM takes devices by iommufd.</summary>
    public const int IommufdProtocol = 2;

    /// <summary>The oldest protocol of a VMM that this version adopts.</summary>
    public const int OldestProtocol = 1;

    private static readonly TimeSpan SendLimit = TimeSpan.FromSeconds(10);
    private readonly string _path;
    private readonly UnixSocket _socket;
    private readonly FrameReader _reader;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private uint _lastRequest;

    private VmmClient(string path, UnixSocket socket)
    {
        _path = path;
        _socket = socket;
        _reader = new FrameReader(socket);
    }

    /// <summary>What the VMM said of itself when this connection was made.</summary>
    public VmmHello Hello { get; private set; } = null!;

    /// <summary>Connects to a VMM process.</summary>
    /// <exception cref="IOException">Nobody listens there.</exception>
    /// <exception cref="VmmProblemException">vmm-protocol: it speaks a protocol that this version does not know.</exception>
    public static async Task<VmmClient> ConnectAsync(string socketPath, CancellationToken cancellationToken)
    {
        var client = new VmmClient(socketPath, UnixSocket.Connect(socketPath));
        try
        {
            var frame = await client.ReadAsync(cancellationToken);
            client.Hello = frame.Kind == FrameKind.Hello
                ? JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmmHello)!
                : throw new InvalidDataException($"The VMM at {socketPath} began with {frame.Kind} instead of a hello.");
            if (client.Hello.Protocol is < OldestProtocol or > Protocol)
            {
                throw new VmmProblemException("vmm-protocol", "The VM's process speaks another protocol.",
                    $"It speaks version {client.Hello.Protocol}; this agent knows {OldestProtocol} to {Protocol}.", "Stop the VM with the agent that started it, or install that agent again.");
            }
            return client;
        }
        catch
        {
            await client.DisposeAsync();
            throw;
        }
    }

    /// <summary>Launches the VM; on return the guest runs.</summary>
    /// <exception cref="VmmProblemException">It could not be launched; nothing is left half made and the process is <see cref="VmmState.Empty"/> again.</exception>
    public async Task LaunchAsync(VmConfig config, VmmDescriptors descriptors, CancellationToken cancellationToken)
    {
        await AskAsync(FrameKind.Launch, JsonSerializer.SerializeToUtf8Bytes(config, ControlJson.Default.VmConfig), DescriptorOrder.Of(descriptors), cancellationToken);
    }

    /// <summary>Descriptors of KVM's statistics of the running VM.</summary>
    public async Task<VmmStatistics> TakeStatisticsAsync(CancellationToken cancellationToken)
    {
        var reply = await AskAsync(FrameKind.TakeStatistics, default, [], cancellationToken);
        return new VmmStatistics { Vm = reply.Descriptors[0], Vcpus = [.. reply.Descriptors.Skip(1)] };
    }

    /// <summary>Presses the ACPI power button. What the guest makes of it is the guest's affair.</summary>
    public async Task PowerButtonAsync(CancellationToken cancellationToken) => await AskAsync(FrameKind.PowerButton, default, [], cancellationToken);

    /// <summary>Pauses the guest: on return no vCPU runs. Its devices and its clock go on; pausing a paused guest does nothing.</summary>
    public async Task PauseAsync(CancellationToken cancellationToken) => await AskAsync(FrameKind.Pause, default, [], cancellationToken);

    /// <summary>Lets a paused guest run on; its watchdogs are told that it stood still.</summary>
    public async Task ResumeAsync(CancellationToken cancellationToken) => await AskAsync(FrameKind.Resume, default, [], cancellationToken);

    /// <summary>Ends a running guest at once, and the VMM process with it. On return the guest's devices and memory are released; the process leaves right after.</summary>
    public async Task EndAsync(CancellationToken cancellationToken) => await AskAsync(FrameKind.End, default, [], cancellationToken);

    /// <summary>Types into the guest's serial console.</summary>
    /// <exception cref="VmmProblemException">console-input-full: the guest does not read what was typed before.</exception>
    public async Task WriteConsoleAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken) =>
        await AskAsync(FrameKind.WriteConsole, data, [], cancellationToken);

    /// <summary>The MSI-X vectors in use, by assigned device.</summary>
    public async Task<IReadOnlyList<DeviceVectors>> TakeVectorsAsync(CancellationToken cancellationToken)
    {
        var reply = await AskAsync(FrameKind.TakeVectors, default, [], cancellationToken);
        return JsonSerializer.Deserialize(reply.Payload.Span, ControlJson.Default.ListDeviceVectors)!;
    }

    /// <summary>Throws the switch between the best path of interrupts that the host has and injection, while the guest runs. No interrupt is lost by it.</summary>
    /// <param name="address">Of one device; null: all, those to come among them.</param>
    /// <param name="vector">One vector of the device; null: all that it uses now.</param>
    /// <param name="injected">True: inject.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="VmmProblemException">device-not-assigned, vector-not-in-use, switch-failed.</exception>
    public Task SwitchInterruptsAsync(string? address, int? vector, bool injected, CancellationToken cancellationToken) =>
        AskAsync(FrameKind.SwitchInterrupts, JsonSerializer.SerializeToUtf8Bytes(new SwitchRequest(address, vector, injected), ControlJson.Default.SwitchRequest), [], cancellationToken);

    /// <summary>Looks at each vCPU, for which all leave the guest for a moment: not for every second.</summary>
    public async Task<IReadOnlyList<VcpuLook>> LookAsync(CancellationToken cancellationToken) =>
        JsonSerializer.Deserialize((await AskAsync(FrameKind.Look, default, [], cancellationToken)).Payload.Span, ControlJson.Default.ListVcpuLook)!;

    /// <summary>What the process holds of things that can run out or leak.</summary>
    public async Task<VmmResources> TakeResourcesAsync(CancellationToken cancellationToken) =>
        JsonSerializer.Deserialize((await AskAsync(FrameKind.TakeResources, default, [], cancellationToken)).Payload.Span, ControlJson.Default.VmmResources)!;

    /// <summary>
    /// Plugs devices into the running guest. On return they are on its bus, and it has been told. Each call has a connection of its own, since it takes the time of a
    /// reset, and for a VM's first device the time of pinning all its memory.
    /// </summary>
    /// <param name="devices">Which.</param>
    /// <param name="descriptors">
    /// /dev/vfio/vfio if the VM has no device yet, and the groups of which it has none. Or, of a VMM of <see cref="IommufdProtocol"/> and later, /dev/iommu if the VM has no device yet, and the
    /// devices' own files.
    /// </param>
    /// <param name="cancellationToken">Stops waiting; the devices are attached all the same.</param>
    /// <exception cref="VmmProblemException">They cannot be assigned; the VM has none of them.</exception>
    public async Task AttachDevicesAsync(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors, CancellationToken cancellationToken)
    {
        var groups = descriptors.Groups.ToArray();
        var cdevs = descriptors.Cdevs.ToArray();
        var request = new AttachRequest(devices, descriptors.Container is not null, [.. groups.Select(g => g.Key)])
        {
            HasIommufd = descriptors.Iommufd is not null,
            Cdevs = [.. cdevs.Select(c => c.Key)],
        };
        SafeFileHandle[] files = [.. One(descriptors.Container), .. groups.Select(g => g.Value), .. One(descriptors.Iommufd), .. cdevs.Select(c => c.Value)];
        await using var own = await ConnectAsync(_path, cancellationToken);
        await own.AskAsync(FrameKind.AttachDevices, JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.AttachRequest), files, cancellationToken);
    }

    /// <summary>Asks the guest to give a device back, with the other functions of its slot. On return it is released, and the host can have it.</summary>
    /// <param name="address">Its address on the host.</param>
    /// <param name="limit">After this it is taken away; zero: at once. An hour at most.</param>
    /// <param name="cancellationToken">Stops waiting; the guest stays asked.</param>
    /// <exception cref="VmmProblemException">device-not-assigned.</exception>
    public async Task DetachDeviceAsync(string address, TimeSpan limit, CancellationToken cancellationToken)
    {
        var request = new DetachRequest(address, (long)limit.TotalMilliseconds);
        await using var own = await ConnectAsync(_path, cancellationToken);
        await own.AskAsync(FrameKind.DetachDevice, JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Default.DetachRequest), [], cancellationToken);
    }

    /// <summary>Has the process try what its sandbox should refuse.</summary>
    public async Task<IReadOnlyList<SandboxAttempt>> TrySandboxAsync(CancellationToken cancellationToken)
    {
        var reply = await AskAsync(FrameKind.TrySandbox, default, [], cancellationToken);
        return JsonSerializer.Deserialize(reply.Payload.Span, ControlJson.Default.ListSandboxAttempt)!;
    }

    /// <summary>
    /// Console output from the oldest byte that the VMM's ring (256 KiB) still has, then live; ends after <see cref="VmmEnded"/>.
    /// Each call has a connection of its own, so a slow reader holds up nobody else.
    /// </summary>
    /// <exception cref="IOException">The VMM process went away without saying how the guest ended.</exception>
    public IAsyncEnumerable<VmmEvent> EventsAsync(CancellationToken cancellationToken) => EventsAsync(0, cancellationToken);

    /// <summary>As <see cref="EventsAsync(CancellationToken)"/>, from a later offset of the console.</summary>
    public async IAsyncEnumerable<VmmEvent> EventsAsync(long fromOffset, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var own = await ConnectAsync(_path, cancellationToken);
        var payload = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(payload, fromOffset);
        await own.AskAsync(FrameKind.Subscribe, payload, [], cancellationToken);
        while (true)
        {
            var frame = await own.ReadAsync(cancellationToken);
            switch (frame.Kind)
            {
                case FrameKind.ConsoleOutput:
                    yield return new VmmConsoleOutput(BinaryPrimitives.ReadInt64LittleEndian(frame.Payload.Span), frame.Payload[8..]);
                    break;
                case FrameKind.DeviceEvent:
                    yield return JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmmDeviceEvent)!;
                    break;
                case FrameKind.Restarted:
                    yield return new VmmRestarted(JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmRestart)!);
                    break;
                case FrameKind.Ended:
                    yield return new VmmEnded(JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.VmEnd)!);
                    yield break;
                default:
                    // An event that a newer VMM knows and this version does not.
                    frame.CloseDescriptors();
                    break;
            }
        }
    }

    /// <inheritdoc />
    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        _reader.Dispose();
        _turn.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<Frame> AskAsync(FrameKind kind, ReadOnlyMemory<byte> payload, IReadOnlyList<SafeFileHandle> descriptors, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var id = ++_lastRequest;
            Send(new Frame(kind, id, payload, descriptors));
            while (true)
            {
                var frame = await ReadAsync(cancellationToken);
                if (frame.RequestId != id)
                {
                    // The answer to a call that was cancelled.
                    frame.CloseDescriptors();
                    continue;
                }
                return frame.Kind == FrameKind.Problem
                    ? throw JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.WireProblem)!.ToException()
                    : frame;
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private static SafeFileHandle[] One(SafeFileHandle? file) => file is null ? [] : [file];

    private void Send(Frame frame)
    {
        ReadOnlySpan<byte> rest = frame.Encode();
        var descriptors = frame.Descriptors;
        while (!rest.IsEmpty)
        {
            var sent = _socket.Send(rest, descriptors);
            if (sent > 0)
                descriptors = [];
            else if (!Poll.IsWritable(_socket.Handle, (int)SendLimit.TotalMilliseconds))
                throw new IOException($"The VMM at {_path} has read nothing for {SendLimit.TotalSeconds} s.");
            rest = rest[sent..];
        }
    }

    private async Task<Frame> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (_reader.Take() is { } frame)
                return frame;
            if (_reader.Closed)
                throw new IOException($"The VMM at {_path} has closed the connection.");
            if (!_reader.Fill() && !_reader.Closed)
                await Readiness.WaitReadableAsync(_socket.Handle, cancellationToken);
        }
    }
}
