using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Npgsql;

namespace Exitless.ControlPlane.Rest;

/// <summary>For load balancers and scripts, without a login: whether it lives, and whether it can work.</summary>
internal static class HealthEndpoints
{
    public static void MapHealth(this IEndpointRouteBuilder app)
    {
        // Both by the names that this product gives them and by those that clusters ask for.
        foreach (var path in (string[])["/health/live", "/healthz"])
            app.MapGet(path, () => TypedResults.Text("live")).AllowAnonymous().ExcludeFromDescription();
        foreach (var path in (string[])["/health/ready", "/readyz"])
            app.MapGet(path, ReadyAsync).AllowAnonymous().ExcludeFromDescription();
    }

    internal static async Task<IResult> ReadyAsync(DatabaseServer database, CancellationToken ct)
    {
        try
        {
            await using var command = database.Source.CreateCommand("SELECT 1");
            command.CommandTimeout = 5;
            await command.ExecuteScalarAsync(ct);
            return TypedResults.Text("ready");
        }
        catch (Exception e) when (e is NpgsqlException or InvalidOperationException)
        {
            return TypedResults.Text("the database does not answer", statusCode: StatusCodes.Status503ServiceUnavailable);
        }
    }
}
