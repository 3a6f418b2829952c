using Exitless.Agent.Link;
using Exitless.Contracts;

namespace Exitless.Agent.Events;

/// <summary>What happened on this host, kept until the control plane can take it. The oldest go first when more than <see cref="Capacity"/> wait.</summary>
internal sealed class EventLog(AsyncSignal signal, TimeProvider time) : ILinkSource
{
    public const int Capacity = 1000;
    private readonly Lock _gate = new();
    private readonly Queue<AgentEvent> _waiting = new();
    private long _lost;

    public void Info(string kind, string message, string vmId = "", string device = "") => Add(kind, message, vmId, device, "info");

    public void Warning(string kind, string message, string vmId = "", string device = "") => Add(kind, message, vmId, device, "warning");

    public void Error(string kind, string message, string vmId = "", string device = "") => Add(kind, message, vmId, device, "error");

    public void Restart(Welcome welcome)
    {
    }

    public AgentMessage? Next()
    {
        lock (_gate)
        {
            if (_lost > 0)
            {
                var lost = Make("events-lost", $"{_lost} older events were dropped while there was no link.", "", "", "warning");
                _lost = 0;
                return new AgentMessage { Event = lost };
            }
            return _waiting.TryDequeue(out var next) ? new AgentMessage { Event = next } : null;
        }
    }

    private void Add(string kind, string message, string vmId, string device, string severity)
    {
        lock (_gate)
        {
            if (_waiting.Count == Capacity)
            {
                _waiting.Dequeue();
                _lost++;
            }
            _waiting.Enqueue(Make(kind, message, vmId, device, severity));
        }
        signal.Set();
    }

    private AgentEvent Make(string kind, string message, string vmId, string device, string severity) => new()
    {
        Time = time.GetUtcNow().ToUnixTimeMilliseconds(),
        Kind = kind,
        Message = message,
        VmId = vmId,
        Device = device,
        Severity = severity,
    };
}
