using System.Text;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>What Prometheus scrapes, with a bearer token like every other reader.</summary>
internal static class PrometheusEndpoint
{
    public const string Path = "/metrics";

    public static void MapPrometheus(this IEndpointRouteBuilder app) => app.MapGet(Path, ScrapeAsync).ExcludeFromDescription();

    internal static async Task<IResult> ScrapeAsync(IHostDirectory directory, NewestRows newest, ServerMetrics own, ReconcileAges ages, CancellationToken ct)
    {
        var hosts = await directory.ListAsync(ct);
        var rows = await newest.ReadAsync(hosts.ToDictionary(host => host.Id, host => host.Name), ct);
        var page = new StringBuilder(PrometheusText.Write(hosts.Select(host => (host.Name, host.Connected)), rows));
        await ages.WriteAsync(page, ct);
        own.Write(page);
        return TypedResults.Text(page.ToString(), PrometheusText.ContentType);
    }
}
