using Exitless.Web.Components;
using Exitless.Web.Components.Parts;
using Microsoft.AspNetCore.Diagnostics;
using MudBlazor;
using MudBlazor.Services;

namespace Exitless.Web;

/// <summary>The dashboard's two calls in the composition: what it needs, and what it serves.</summary>
internal static class Dashboard
{
    private const int RetainedCircuits = 20;

    // Scripts and styles come from this site only. Styles may be inline because MudBlazor and xterm.js write their own; scripts may not.
    private const string ContentPolicy =
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

    private const string NotFoundPath = "/not-found";

    // A browser that goes to an address asks for HTML; scripts, hubs and the API's clients do not.
    private static bool IsForPeople(HttpRequest request) =>
        HttpMethods.IsGet(request.Method)
        && !request.Path.StartsWithSegments("/api", StringComparison.Ordinal)
        && request.Headers.Accept.ToString().Contains("text/html", StringComparison.OrdinalIgnoreCase);

    public static IServiceCollection AddDashboard(this IServiceCollection services)
    {
        services.AddRazorComponents().AddInteractiveServerComponents(options =>
        {
            options.DisconnectedCircuitMaxRetained = RetainedCircuits;
            options.DisconnectedCircuitRetentionPeriod = TimeSpan.FromMinutes(2);
        });
        services.AddCascadingAuthenticationState();
        services.AddMudServices(options =>
        {
            options.SnackbarConfiguration.PositionClass = Defaults.Classes.Position.BottomRight;
            options.SnackbarConfiguration.VisibleStateDuration = 12_000;
            options.SnackbarConfiguration.SnackbarVariant = Variant.Filled;
            options.SnackbarConfiguration.PreventDuplicates = true;
        });
        services.AddScoped<PersonsChanges>();
        return services;
    }

    /// <summary>An address that no page has is answered with a page that says so, and 404. Goes before everything else.</summary>
    public static WebApplication UseDashboard(this WebApplication app)
    {
        app.UseStatusCodePagesWithReExecute(NotFoundPath, createScopeForStatusCodePages: true);
        app.Use(async (context, next) =>
        {
            await next(context);
            if (context.Response.StatusCode != StatusCodes.Status404NotFound || !IsForPeople(context.Request))
                context.Features.Get<IStatusCodePagesFeature>()!.Enabled = false;
        });
        return app;
    }

    public static WebApplication MapDashboard(this WebApplication app)
    {
        // The login page needs its styles before anybody has signed in, and none of the files is a secret.
        app.MapStaticAssets().AllowAnonymous();
        app.MapRazorComponents<App>()
            .AddInteractiveServerRenderMode(options => options.ContentSecurityFrameAncestorsPolicy = null)
            .Add(endpoint =>
            {
                var next = endpoint.RequestDelegate!;
                endpoint.RequestDelegate = context =>
                {
                    context.Response.Headers.ContentSecurityPolicy = ContentPolicy;
                    context.Response.Headers.XContentTypeOptions = "nosniff";
                    context.Response.Headers["Referrer-Policy"] = "same-origin";
                    return next(context);
                };
            });
        return app;
    }
}
