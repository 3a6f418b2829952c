using System.Security.Claims;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>People, what they may do, and what was done. Public, because the API's description is drawn from its comments.</summary>
public static class PeopleEndpoints
{
    private const string Path = "/people";

    internal static void Map(IEndpointRouteBuilder api)
    {
        api.MapGet("/me", ShowMe).WithName(nameof(ShowMe)).WithTags("People").Needs(Role.Viewer, Reach.Anywhere).WithExample(200, Example.Me);
        api.MapGet("/audit", ListAudit).WithName(nameof(ListAudit)).WithTags("People").ProducesProblem(400).Needs(Role.Admin, Reach.Fleet)
            .IsStoredList<AuditDto>(a => [a.Id.ToString("D")]).WithExample(200, new[] { Example.Audit }, null, ("kind", "vm"), ("limit", "50"));
        var people = api.MapGroup(Path).WithTags("People");
        people.MapGet("", ListPeople).WithName(nameof(ListPeople)).ProducesProblem(400).Needs(Role.Admin, Reach.Fleet)
            .IsList<PersonDto>(p => [p.Name, p.Id.ToString("D")], descending: false, "name", "locked").WithExample(200, new[] { Example.Person }, null, ("limit", "50"));
        people.MapPost("", CreatePerson).WithName(nameof(CreatePerson)).ProducesProblem(400).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Creates().WithExample(201, Example.NewPassword, new CreatePersonRequest(Example.PersonName, [new GrantDto(Role.Operator, Example.ProjectId)]));
        people.MapGet("/{personId:guid}", GetPerson).WithName(nameof(GetPerson)).ProducesProblem(404).Needs(Role.Admin, Reach.Fleet).WithExample(200, Example.Person);
        people.MapPut("/{personId:guid}/grants", SetGrants).WithName(nameof(SetGrants)).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Person).WithExample(200, Example.Person, new SetGrantsRequest([new GrantDto(Role.Viewer), new GrantDto(Role.Admin, Example.ProjectId)]));
        people.MapPost("/{personId:guid}/actions/reset-password", ResetPassword).WithName(nameof(ResetPassword)).ProducesProblem(404).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Person).WithExample(200, Example.NewPassword);
        people.MapPost("/{personId:guid}/actions/end-sessions", EndSessions).WithName(nameof(EndSessions)).ProducesProblem(404).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Person).WithExample(200, Example.Person);
        people.MapDelete("/{personId:guid}", DeletePerson).WithName(nameof(DeletePerson)).ProducesProblem(404).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Changes(Resources.Person).WithExample(204, null);
    }

    /// <summary>Shows who the caller is, and what the caller may do.</summary>
    /// <param name="context">The request.</param>
    public static Ok<MeDto> ShowMe(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return TypedResults.Ok(new MeDto(Guid.Parse(context.User.FindFirstValue(ClaimTypes.NameIdentifier)!), Actor.From(context.User).Name, context.Features.Get<Rights>()!.Grants));
    }

    /// <summary>Lists who changed what, from what to what, the newest first.</summary>
    /// <param name="kind">Of this kind of thing only, such as vm or grant.</param>
    /// <param name="thingId">Of this thing only.</param>
    /// <param name="actor">By this actor only.</param>
    /// <param name="action">Of this action only: created, changed or deleted.</param>
    /// <param name="limit">At most this many, 1 to 1000; default 100. A 'Link' header with rel="next" leads to the next page.</param>
    /// <param name="cursor">Where the page begins, from the 'next' link of the page before.</param>
    /// <param name="audit">The audit log.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<IReadOnlyList<AuditDto>>> ListAudit(string? kind, string? thingId, string? actor, string? action, int? limit, string? cursor, IAuditLog audit, CancellationToken ct) =>
        TypedResults.Ok(await audit.ListAsync(new AuditFilter(kind, thingId, actor, MemberFilter.Named<AuditAction>("action", action), Cursor.ReadId(nameof(ListAudit), cursor), limit ?? ListPage.StoredPage), ct));

    /// <summary>Lists the people who may sign in, by name.</summary>
    public static async Task<Ok<IReadOnlyList<PersonDto>>> ListPeople(IPeopleDirectory people, CancellationToken ct) => TypedResults.Ok(await people.ListAsync(ct));

    /// <summary>Makes a person, with a password that is shown this once.</summary>
    /// <param name="request">The name, and what the person may do.</param>
    /// <param name="people">The people.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<NewPasswordDto>> CreatePerson(CreatePersonRequest request, IPeopleDirectory people, HttpContext context)
    {
        var made = await people.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{Path}/{made.Id:D}", made);
    }

    /// <summary>Shows one person, and what the person may do.</summary>
    /// <param name="personId">The person's id.</param>
    /// <param name="people">The people.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<PersonDto>> GetPerson(Guid personId, IPeopleDirectory people, CancellationToken ct) => TypedResults.Ok(await people.GetAsync(personId, ct));

    /// <summary>Sets all that a person may do. It holds at once; the last administrator of the fleet stays one.</summary>
    /// <param name="personId">The person's id.</param>
    /// <param name="request">The roles.</param>
    /// <param name="people">The people.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<PersonDto>> SetGrants(Guid personId, SetGrantsRequest request, IPeopleDirectory people, HttpContext context) =>
        TypedResults.Ok(await people.SetGrantsAsync(personId, request, Actor.From(context.User), context.RequestAborted));

    /// <summary>Gives a person a new password, shown this once, and ends all their sessions.</summary>
    /// <param name="personId">The person's id.</param>
    /// <param name="people">The people.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<NewPasswordDto>> ResetPassword(Guid personId, IPeopleDirectory people, HttpContext context) =>
        TypedResults.Ok(await people.ResetPasswordAsync(personId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Ends all sessions of a person, within a minute.</summary>
    /// <param name="personId">The person's id.</param>
    /// <param name="people">The people.</param>
    /// <param name="context">The request.</param>
    public static async Task<Ok<PersonDto>> EndSessions(Guid personId, IPeopleDirectory people, HttpContext context) =>
        TypedResults.Ok(await people.EndSessionsAsync(personId, Actor.From(context.User), context.RequestAborted));

    /// <summary>Removes a person. The last administrator of the fleet stays.</summary>
    /// <param name="personId">The person's id.</param>
    /// <param name="people">The people.</param>
    /// <param name="context">The request.</param>
    public static async Task<NoContent> DeletePerson(Guid personId, IPeopleDirectory people, HttpContext context)
    {
        await people.DeleteAsync(personId, Actor.From(context.User), context.RequestAborted);
        return TypedResults.NoContent();
    }
}
