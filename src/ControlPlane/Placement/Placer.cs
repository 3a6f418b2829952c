using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Placement;

/// <inheritdoc />
internal sealed class Placer(HostOffers offers) : IPlacement
{
    private const int MostVcpus = 64, MostMemoryMib = 16 << 20, MostVfs = 64, MostHosts = 1000;

    public async Task<PlacementDto> PlanAsync(PlacementRequest request, CancellationToken ct)
    {
        Check(request);
        var hosts = (await offers.ReadAsync(request, ct)).Select(h => (Host: h, Against: PlacementRules.Against(request, h))).ToList();
        var fitting = hosts.Where(h => h.Against is null).Select(h => (h.Host, Left: PlacementRules.MemoryLeft(request, h.Host)))
            .OrderBy(h => request.Policy == PlacementPolicy.Spread ? -h.Left : h.Left).ThenBy(h => h.Host.Name, StringComparer.Ordinal).ToList();
        var refused = hosts.Where(h => h.Against is not null).OrderBy(h => h.Host.Name, StringComparer.Ordinal).ToList();
        return new PlacementDto(
            fitting.Count > 0 ? PlacementRules.Place(request, fitting[0].Host) : null, fitting.Count, refused.Count,
            [
                .. fitting.Select(h => new PlacementHostDto(h.Host.Id, h.Host.Name, true, h.Left, null, null))
                    .Concat(refused.Select(h => new PlacementHostDto(h.Host.Id, h.Host.Name, false, null, h.Against!.Value.Code, h.Against.Value.Reason))).Take(request.Limit),
            ]);
    }

    private static void Check(PlacementRequest request)
    {
        var mistakes = new Mistakes();
        foreach (var (field, value, least, most) in ((string, int, int, int)[])[("vcpus", request.Vcpus, 1, MostVcpus), ("memoryMib", request.MemoryMib, 1, MostMemoryMib), ("vfs", request.Vfs, 0, MostVfs), ("limit", request.Limit, 1, MostHosts)])
        {
            if (value < least || value > most)
                mistakes.Add(field, $"{value} is not between {least} and {most}.", $"Take {least} to {most}.");
        }
        mistakes.Throw("placement-invalid", "No host can be looked for.");
    }
}
