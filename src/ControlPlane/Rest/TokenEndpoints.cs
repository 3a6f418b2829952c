using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
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
        enrolment.MapGet("", ListEnrolmentTokens).WithName(nameof(ListEnrolmentTokens)).Needs(Role.Admin, Reach.Fleet).ProducesProblem(400)
            .IsList<EnrolmentTokenDto>(t => [t.Id.ToString("D")], descending: true, "label", "createdBy").WithExample(200, new[] { Example.EnrolmentToken }, null, ("limit", "50"));
        enrolment.MapGet("/{tokenId:guid}", GetEnrolmentToken).WithName(nameof(GetEnrolmentToken)).Needs(Role.Admin, Reach.Fleet).ProducesProblem(404).WithExample(200, Example.EnrolmentToken);
        enrolment.MapPost("", CreateEnrolmentToken).WithName(nameof(CreateEnrolmentToken)).Needs(Role.Admin, Reach.Fleet).ProducesProblem(400)
            .Creates().WithExample(201, Example.CreatedEnrolmentToken, new CreateEnrolmentTokenRequest(Example.Label, 60));
        enrolment.MapDelete("/{tokenId:guid}", RevokeEnrolmentToken).WithName(nameof(RevokeEnrolmentToken)).Needs(Role.Admin, Reach.Fleet).ProducesProblem(404).ProducesProblem(409).Changes(Resources.EnrolmentToken).WithExample(204, null);
        var tokens = api.MapGroup(ApiPath).WithTags("Tokens");
        tokens.MapGet("", ListApiTokens).WithName(nameof(ListApiTokens)).Needs(Role.Admin, Reach.Anywhere).ProducesProblem(400)
            .IsList<ApiTokenDto>(t => [t.Name, t.Id.ToString("D")], descending: false, "name", "createdBy", "role", "projectId").InProject<ApiTokenDto>(t => t.ProjectId).WithExample(200, new[] { Example.ApiToken }, null, ("limit", "50"));
        tokens.MapGet("/{tokenId:guid}", GetApiToken).WithName(nameof(GetApiToken)).Needs(Role.Admin, Reach.Project).ProducesProblem(404).WithExample(200, Example.ApiToken);
        tokens.MapPost("", CreateApiToken).WithName(nameof(CreateApiToken)).Needs(Role.Admin, Reach.Project).ProducesProblem(400).ProducesProblem(409)
            .Creates().WithExample(201, Example.CreatedApiToken, new CreateApiTokenRequest(Example.TokenName, 90, Role.Operator, Example.ProjectId));
        tokens.MapDelete("/{tokenId:guid}", RevokeApiToken).WithName(nameof(RevokeApiToken)).Needs(Role.Admin, Reach.Project).ProducesProblem(404).Changes(Resources.ApiToken).WithExample(204, null);
    }

    /// <summary>Lists the enrolment tokens, the newest first, without their secrets.</summary>
    public static async Task<Ok<IReadOnlyList<EnrolmentTokenDto>>> ListEnrolmentTokens(IEnrolmentTokens tokens, CancellationToken ct) => TypedResults.Ok(await tokens.ListAsync(ct));

    /// <summary>Shows one enrolment token, without its secret.</summary>
    /// <param name="tokenId">The token's id.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<EnrolmentTokenDto>> GetEnrolmentToken(Guid tokenId, IEnrolmentTokens tokens, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return TypedResults.Ok((await tokens.ListAsync(ct)).FirstOrDefault(t => t.Id == tokenId) ?? throw ProblemException.NotFound("Enrolment token", tokenId));
    }

    /// <summary>Makes a one-time token that a host can enrol with. Its secret is shown this once.</summary>
    /// <param name="request">What it is for and how long it is good.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<CreatedEnrolmentTokenDto>> CreateEnrolmentToken(CreateEnrolmentTokenRequest request, IEnrolmentTokens tokens, HttpContext context)
    {
        var token = await tokens.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{EnrolmentPath}/{token.Id:D}", token);
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

    /// <summary>Shows one API token, without its secret.</summary>
    /// <param name="tokenId">The token's id.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<ApiTokenDto>> GetApiToken(Guid tokenId, IApiTokens tokens, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return TypedResults.Ok((await tokens.ListAsync(ct)).FirstOrDefault(t => t.Id == tokenId) ?? throw ProblemException.NotFound("API token", tokenId));
    }

    /// <summary>Makes a bearer token for scripts. Its secret is shown this once.</summary>
    /// <param name="request">Its name and how long it is good.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<CreatedApiTokenDto>> CreateApiToken(CreateApiTokenRequest request, IApiTokens tokens, HttpContext context)
    {
        var token = await tokens.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{ApiPath}/{token.Id:D}", token);
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
