using Exitless.ControlPlane.Api;

namespace Exitless.Web.Tests;

/// <summary>Hosts of the store that are linked fit; what was asked is kept.</summary>
public sealed class PlacementPart(MemoryStore store) : IPlacement
{
    /// <summary>Every request, in order.</summary>
    public List<PlacementRequest> Requests { get; } = [];

    public Task<PlacementDto> PlanAsync(PlacementRequest request, CancellationToken ct)
    {
        Requests.Add(request);
        var (fitting, refused) = (store.Hosts.All.Where(h => h.Connected).ToList(), store.Hosts.All.Where(h => !h.Connected).ToList());
        return Task.FromResult(new PlacementDto(
            fitting.Count > 0 ? new PlacedDto(fitting[0].Id, fitting[0].Name, null, []) : null, fitting.Count, refused.Count,
            [.. fitting.Select(h => new PlacementHostDto(h.Id, h.Name, true, 0.5, null, null)), .. refused.Select(h => new PlacementHostDto(h.Id, h.Name, false, null, "host-not-connected", "its link is lost"))]));
    }
}
