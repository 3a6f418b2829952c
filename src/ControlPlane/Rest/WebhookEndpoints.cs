using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest;

/// <summary>Webhooks. Public, because the API's description is drawn from its comments.</summary>
public static class WebhookEndpoints
{
    private const string Path = "/webhooks";

    internal static void Map(IEndpointRouteBuilder api)
    {
        var webhooks = api.MapGroup(Path).WithTags("Events");
        webhooks.MapGet("", ListWebhooks).WithName(nameof(ListWebhooks)).ProducesProblem(400).Needs(Role.Admin, Reach.Fleet)
            .IsList<WebhookDto>(w => [w.Name, w.Id.ToString("D")], descending: false, "name").WithExample(200, new[] { Example.Webhook }, null, ("limit", "50"));
        webhooks.MapPost("", CreateWebhook).WithName(nameof(CreateWebhook)).ProducesProblem(400).ProducesProblem(409).Needs(Role.Admin, Reach.Fleet)
            .Creates().WithExample(201, Example.CreatedWebhook, new WebhookRequest(Example.WebhookName, Example.WebhookUrl, ["vm-ended", "operation-failed"]));
        webhooks.MapGet("/{webhookId:guid}", GetWebhook).WithName(nameof(GetWebhook)).ProducesProblem(404).Needs(Role.Admin, Reach.Fleet).WithExample(200, Example.Webhook);
        webhooks.MapDelete("/{webhookId:guid}", DeleteWebhook).WithName(nameof(DeleteWebhook)).ProducesProblem(404).Needs(Role.Admin, Reach.Fleet).Changes(Resources.Webhook).WithExample(204, null);
    }

    /// <summary>Lists the webhooks, by name: how far each has been told, and what stands in the way.</summary>
    public static async Task<Ok<IReadOnlyList<WebhookDto>>> ListWebhooks(IWebhooks webhooks, CancellationToken ct) => TypedResults.Ok(await webhooks.ListAsync(ct));

    /// <summary>Makes a webhook: events from now on are posted to it, signed, in their order, each until it is taken with a 2xx. The secret is shown this once.</summary>
    /// <param name="request">Where to, and what.</param>
    /// <param name="webhooks">The webhooks.</param>
    /// <param name="context">The request.</param>
    public static async Task<Created<CreatedWebhookDto>> CreateWebhook(WebhookRequest request, IWebhooks webhooks, HttpContext context)
    {
        var made = await webhooks.CreateAsync(request, Actor.From(context.User), context.RequestAborted);
        return TypedResults.Created($"/api/v1{Path}/{made.Id:D}", made);
    }

    /// <summary>Shows one webhook.</summary>
    /// <param name="webhookId">The webhook's id.</param>
    /// <param name="webhooks">The webhooks.</param>
    /// <param name="ct">Ends with the request.</param>
    public static async Task<Ok<WebhookDto>> GetWebhook(Guid webhookId, IWebhooks webhooks, CancellationToken ct) => TypedResults.Ok(await webhooks.GetAsync(webhookId, ct));

    /// <summary>Removes a webhook; what it has not been told is not told.</summary>
    /// <param name="webhookId">The webhook's id.</param>
    /// <param name="webhooks">The webhooks.</param>
    /// <param name="context">The request.</param>
    public static async Task<NoContent> DeleteWebhook(Guid webhookId, IWebhooks webhooks, HttpContext context)
    {
        await webhooks.DeleteAsync(webhookId, Actor.From(context.User), context.RequestAborted);
        return TypedResults.NoContent();
    }
}
