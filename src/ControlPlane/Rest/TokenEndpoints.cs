using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Tokens, for hosts and for scripts. Public, because the API's description is drawn from its comments.</summary>
public static class TokenEndpoints
{
    private const string EnrolmentPath = "/enrolment-tokens";
    private const string ApiPath = "/tokens";

    internal static void Map(IEndpointRouteBuilder api)
    {
        var enrolment = api.MapGroup(EnrolmentPath).WithTags("Tokens");
        enrolment.MapGet("", ListEnrolmentTokens).WithName(nameof(ListEnrolmentTokens));
        enrolment.MapPost("", CreateEnrolmentToken).WithName(nameof(CreateEnrolmentToken)).ProducesProblem(400);
        enrolment.MapDelete("/{tokenId:guid}", RevokeEnrolmentToken).WithName(nameof(RevokeEnrolmentToken)).ProducesProblem(404).ProducesProblem(409);
        var tokens = api.MapGroup(ApiPath).WithTags("Tokens");
        tokens.MapGet("", ListApiTokens).WithName(nameof(ListApiTokens));
        tokens.MapPost("", CreateApiToken).WithName(nameof(CreateApiToken)).ProducesProblem(400).ProducesProblem(409);
        tokens.MapDelete("/{tokenId:guid}", RevokeApiToken).WithName(nameof(RevokeApiToken)).ProducesProblem(404);
    }

    /// <summary>Lists the enrolment tokens, the newest first, without their secrets.</summary>
    public static async Task<Ok<IReadOnlyList<EnrolmentTokenDto>>> ListEnrolmentTokens(IEnrolmentTokens tokens, CancellationToken ct) => TypedResults.Ok(await tokens.ListAsync(ct));

    /// <summary>Makes a one-time token that a host can enrol with. Its secret is shown this once.</summary>
    /// <param name="request">What it is for and how long it is good.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<CreatedEnrolmentTokenDto>> CreateEnrolmentToken(CreateEnrolmentTokenRequest request, IEnrolmentTokens tokens, HttpContext context)
    {
        var token = await tokens.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{EnrolmentPath}", token);
    }

    /// <summary>Makes an unused enrolment token useless.</summary>
    /// <param name="tokenId">The token's id.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<NoContent> RevokeEnrolmentToken(Guid tokenId, IEnrolmentTokens tokens, HttpContext context)
    {
        await tokens.RevokeAsync(tokenId, Actor.From(context.User), context.RequestAborted);
        return TypedResults.NoContent();
    }

    /// <summary>Lists the API tokens, by name, without their secrets.</summary>
    public static async Task<Ok<IReadOnlyList<ApiTokenDto>>> ListApiTokens(IApiTokens tokens, CancellationToken ct) => TypedResults.Ok(await tokens.ListAsync(ct));

    /// <summary>Makes a bearer token for scripts. Its secret is shown this once.</summary>
    /// <param name="request">Its name and how long it is good.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<CreatedApiTokenDto>> CreateApiToken(CreateApiTokenRequest request, IApiTokens tokens, HttpContext context)
    {
        var token = await tokens.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{ApiPath}", token);
    }

    /// <summary>Makes an API token useless.</summary>
    /// <param name="tokenId">The token's id.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<NoContent> RevokeApiToken(Guid tokenId, IApiTokens tokens, HttpContext context)
    {
        await tokens.RevokeAsync(tokenId, Actor.From(context.User), context.RequestAborted);
        return TypedResults.NoContent();
    }
}
