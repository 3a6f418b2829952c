using Exitless.Web.Components;
using Exitless.Web.Components.Parts;
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
