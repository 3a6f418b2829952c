using System.Collections.Concurrent;
using System.Threading.Channels;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Metrics;
using Grpc.Core;

namespace Exitless.ControlPlane.Link;

/// <summary>One open link: what is to be sent to the agent, and the sample schemas it has announced.</summary>
internal sealed class HostLink(Guid hostId, string hostName, string serial) : IDisposable
{
    /// <summary>More than this many unsent messages means that the agent does not read.</summary>
    private const int MostUnsent = 1024;

    private readonly Channel<ControlMessage> _outgoing = Channel.CreateBounded<ControlMessage>(new BoundedChannelOptions(MostUnsent) { SingleReader = true });
    private readonly Channel<bool> _wanted = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _closed = new();
    private readonly ConcurrentDictionary<(Guid Vm, ulong Schema), RowSchema> _schemas = new();

    public Guid HostId { get; } = hostId;

    public string HostName { get; } = hostName;

    /// <summary>Of the certificate that opened it.</summary>
    public string Serial { get; } = serial;

    /// <summary>Whether the agent takes several acknowledgements in one message.</summary>
    public bool TakesAcks { get; init; }

    public CancellationToken Closed => _closed.Token;

    /// <summary>Why it was closed from this side.</summary>
    public Status? CloseStatus { get; private set; }

    public ChannelReader<ControlMessage> Outgoing => _outgoing.Reader;

    /// <summary>Yields whenever the wanted state may have changed.</summary>
    public ChannelReader<bool> WantedWakes => _wanted.Reader;

    /// <summary>VMs of this host, as far as the link has had to know.</summary>
    public ConcurrentDictionary<Guid, bool> KnownVms { get; } = new();

    /// <summary>VMs that Exitless did not start, as last told. What a lost link told is not shown: nobody knows any more.</summary>
    public IReadOnlyList<ObservedVmDto> ObservedVms { get; set; } = [];

    public void WakeWanted() => _wanted.Writer.TryWrite(true);

    public void Send(ControlMessage message)
    {
        if (!_outgoing.Writer.TryWrite(message))
            Close(StatusCode.ResourceExhausted, $"The agent has left {MostUnsent} messages unread.");
    }

    public void Close(StatusCode code, string words)
    {
        CloseStatus ??= new Status(code, words);
        try
        {
            _closed.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended already.
        }
    }

    public void SetSchema(Guid vmId, ulong schemaId, RowSchema schema) => _schemas[(vmId, schemaId)] = schema;

    public RowSchema? Schema(Guid vmId, ulong schemaId) => _schemas.GetValueOrDefault((vmId, schemaId));

    public void Dispose() => _closed.Dispose();
}
