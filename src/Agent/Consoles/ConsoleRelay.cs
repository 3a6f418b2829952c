using System.Threading.Channels;
using Exitless.Agent.Link;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Vmm.Control;
using Google.Protobuf;

namespace Exitless.Agent.Consoles;

/// <summary>
/// Carries consoles between the control plane and the VMs' processes. Output is read only as fast as the stream takes it: a guest that pours out text is held by nobody,
/// its process's ring simply moves on, and the offsets show the gap.
/// </summary>
internal sealed class ConsoleRelay(Func<string, RunningVm?> running, AsyncSignal signal) : ILinkSource
{
    private const int Waiting = 16, InputWaiting = 64;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Attachment> _attached = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Channel<ReadOnlyMemory<byte>>> _inputs = new(StringComparer.Ordinal);

    public void Attach(ConsoleAttach attach)
    {
        lock (_gate)
        {
            if (_attached.Remove(attach.VmId, out var before))
                before.Stop.Cancel();
            var attachment = new Attachment();
            _attached[attach.VmId] = attachment;
            _ = RelayAsync(attach.VmId, (long)attach.FromOffset, attachment);
        }
    }

    public void Detach(string vmId)
    {
        lock (_gate)
        {
            if (_attached.Remove(vmId, out var attachment))
                attachment.Stop.Cancel();
        }
    }

    /// <summary>Types into a console. Input for a VM that does not run, or that reads nothing, is dropped, as on a real serial line.</summary>
    public void Type(ConsoleInput input)
    {
        lock (_gate)
        {
            if (!_inputs.TryGetValue(input.VmId, out var channel))
            {
                channel = Channel.CreateBounded<ReadOnlyMemory<byte>>(new BoundedChannelOptions(InputWaiting) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
                _inputs[input.VmId] = channel;
                _ = TypeAsync(input.VmId, channel.Reader);
            }
            channel.Writer.TryWrite(input.Data.Memory);
        }
    }

    /// <summary>A VM started: an attachment that waits for it begins with its output.</summary>
    public void Started(string vmId)
    {
        lock (_gate)
        {
            if (_attached.TryGetValue(vmId, out var attachment))
                attachment.Started.Set();
        }
    }

    /// <summary>A VM was removed.</summary>
    public void Removed(string vmId)
    {
        Detach(vmId);
        lock (_gate)
        {
            if (_inputs.Remove(vmId, out var channel))
                channel.Writer.TryComplete();
        }
    }

    public void Restart(Welcome welcome)
    {
        lock (_gate)
        {
            foreach (var attachment in _attached.Values)
                attachment.Stop.Cancel();
            _attached.Clear();   // whoever looks attaches again on the new stream
        }
    }

    public AgentMessage? Next()
    {
        lock (_gate)
        {
            foreach (var attachment in _attached.Values)
            {
                if (attachment.Output.Reader.TryRead(out var output))
                    return new AgentMessage { Console = output };
            }
            return null;
        }
    }

    // One attachment lasts over the VM's runs: each run's output begins at offset 0.
    private async Task RelayAsync(string vmId, long from, Attachment attachment)
    {
        await Task.Yield();
        var stop = attachment.Stop.Token;
        try
        {
            while (true)
            {
                var started = attachment.Started.Rearm();
                if (running(vmId) is { } vm)
                {
                    await RelayAsync(vmId, vm, from, attachment.Output.Writer, stop);
                    from = 0;
                }
                await started.WaitAsync(stop);
            }
        }
        catch (OperationCanceledException)
        {
            // Detached.
        }
        finally
        {
            attachment.Stop.Dispose();
        }
    }

    private async Task RelayAsync(string vmId, RunningVm vm, long from, ChannelWriter<ConsoleOutput> output, CancellationToken stop)
    {
        try
        {
            await foreach (var happening in vm.Client.EventsAsync(from, stop))
            {
                if (happening is not VmmConsoleOutput text)
                    continue;
                await output.WriteAsync(new ConsoleOutput { VmId = vmId, Offset = (ulong)text.Offset, Data = UnsafeByteOperations.UnsafeWrap(text.Data) }, stop);
                signal.Set();
            }
        }
        catch (Exception e) when (e is IOException or VmmProblemException or ObjectDisposedException)
        {
            // The VM ended; the next run is waited for.
        }
    }

    private async Task TypeAsync(string vmId, ChannelReader<ReadOnlyMemory<byte>> input)
    {
        await foreach (var data in input.ReadAllAsync())
        {
            try
            {
                if (running(vmId) is { } vm)
                    await vm.Client.WriteConsoleAsync(data, CancellationToken.None);
            }
            catch (Exception e) when (e is IOException or VmmProblemException or ObjectDisposedException)
            {
                // The guest does not read, or has ended.
            }
        }
    }

    private sealed class Attachment
    {
        public CancellationTokenSource Stop { get; } = new();

        public AsyncSignal Started { get; } = new();

        public Channel<ConsoleOutput> Output { get; } = Channel.CreateBounded<ConsoleOutput>(Waiting);
    }
}
