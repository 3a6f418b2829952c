using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>What the doctor found, for a host and for the fleet. Public, because the API's description is drawn from its comments.</summary>
public static class FindingEndpoints
{
    internal static void Map(IEndpointRouteBuilder api)
    {
        api.MapGet("/hosts/{hostId:guid}/findings", ListHostFindings).WithName(nameof(ListHostFindings)).Needs(Role.Viewer, Reach.Fleet).WithTags("Hosts").ProducesProblem(400).ProducesProblem(404)
            .IsList<FindingDto>(Key, descending: false, "severity", "id").WithExample(200, new[] { Example.Finding }, null, ("atLeast", "warning"));
        api.MapGet("/findings", ListFindings).WithName(nameof(ListFindings)).Needs(Role.Viewer, Reach.Fleet).WithTags("Hosts").ProducesProblem(400).ProducesProblem(404)
            .IsList<FindingDto>(Key, descending: false, "severity", "id").WithExample(200, new[] { Example.Finding }, null, ("atLeast", "info"));
    }

    /// <summary>Lists what the doctor found on one host, the worst first.</summary>
    /// <param name="hostId">The host's id.</param>
    /// <param name="atLeast">Leave out what is less bad than <c>info</c>, <c>warning</c> or <c>blocker</c>; all is listed without it.</param>
    /// <param name="findings">The findings.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<FindingDto>>> ListHostFindings(Guid hostId, string? atLeast, IHostFindings findings, CancellationToken ct) =>
        TypedResults.Ok(await findings.ListAsync(hostId, Severity(atLeast), ct));

    /// <summary>Lists what the doctor found on all hosts, or on one, the worst first.</summary>
    /// <param name="hostId">Of this host only.</param>
    /// <param name="atLeast">Leave out what is less bad than <c>info</c>, <c>warning</c> or <c>blocker</c>; all is listed without it.</param>
    /// <param name="findings">The findings.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<FindingDto>>> ListFindings(Guid? hostId, string? atLeast, IHostFindings findings, CancellationToken ct) =>
        TypedResults.Ok(await findings.ListAsync(hostId, Severity(atLeast), ct));

    /// <summary>The worst first, then by host.</summary>
    private static string[] Key(FindingDto f) => [$"{FindingSeverity.Blocker - f.Severity}", f.HostName, f.HostId.ToString("D"), f.Id, f.Subject ?? ""];

    private static FindingSeverity Severity(string? text) => text switch
    {
        null or "ok" => FindingSeverity.Ok,
        "info" => FindingSeverity.Info,
        "warning" => FindingSeverity.Warning,
        "blocker" => FindingSeverity.Blocker,
        _ => throw ProblemException.ForField(ProblemKind.Invalid, "severity-unknown", "There is no such severity.", "atLeast", $"'{text}' is none of ok, info, warning and blocker.", "Ask for one of these, or for none to have all."),
    };
}
