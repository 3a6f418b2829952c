using System.Collections.Concurrent;
using Exitless.ControlPlane.Database;
using Grpc.Core;

namespace Exitless.ControlPlane.Link;

/// <summary>The links that are up, one a host.</summary>
internal sealed class LinkRegistry
{
    private readonly ConcurrentDictionary<Guid, HostLink> _links = new();

    public LinkRegistry(WantedSignal wanted) => wanted.Listen(host => Find(host)?.WakeWanted());

    public HostLink? Find(Guid hostId) => _links.TryGetValue(hostId, out var link) ? link : null;

    public bool IsConnected(Guid hostId) => _links.ContainsKey(hostId);

    /// <summary>Hosts whose links are up.</summary>
    public IReadOnlyCollection<Guid> Connected => [.. _links.Keys];

    /// <summary>The newest link of a host wins: an agent that dials again knows better than we do that its last link is dead.</summary>
    public void Open(HostLink link)
    {
        HostLink? previous = null;
        _links.AddOrUpdate(link.HostId, link, (_, old) =>
        {
            previous = old;
            return link;
        });
        previous?.Close(StatusCode.Aborted, "A newer link of this host took over.");
    }

    /// <summary>Forgets a link; false when a newer one has taken its place.</summary>
    public bool Remove(HostLink link) => _links.TryRemove(new KeyValuePair<Guid, HostLink>(link.HostId, link));
}
