using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Audit;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Backup;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Events;
using Exitless.ControlPlane.Fleet;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Idempotency;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Link;
using Exitless.ControlPlane.Live;
using Exitless.ControlPlane.Metrics;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Placement;
using Exitless.ControlPlane.Projects;
using Exitless.ControlPlane.Rest;
using Exitless.ControlPlane.Rest.Conventions;
using Exitless.ControlPlane.Vms;
using Exitless.ControlPlane.Webhooks;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Scalar.AspNetCore;

namespace Exitless.ControlPlane;

/// <summary>The whole face of the control plane for its host: what it adds, what it maps, and how it runs.</summary>
public static class ControlPlaneSetup
{
    private const string PeopleScheme = "People";

    private static readonly string[] MachinePaths = ["/api", PrometheusEndpoint.Path, "/hubs", "/openapi", "/health", "/healthz", "/readyz"];

    /// <summary>Adds the control plane: ports, certificates, database, identity, link, REST and hub. Every service of <c>Exitless.ControlPlane.Api</c> can be injected afterwards.</summary>
    public static WebApplicationBuilder AddControlPlane(this WebApplicationBuilder builder, string[] args)
    {
        ArgumentNullException.ThrowIfNull(builder);
        AddLogging(builder, ControlPlaneCommands.IsCommand(args));
        var services = builder.Services;
        services.TryAddSingleton(TimeProvider.System);
        services.AddOptions<ControlPlaneOptions>().BindConfiguration(ControlPlaneOptions.Section)
            .PostConfigure(o => o.Complete(builder.Configuration, builder.Environment.ContentRootPath)).ValidateOnStart();
        services.AddSingleton<IValidateOptions<ControlPlaneOptions>, ControlPlaneOptionsRules>();
        services.AddSingleton<Ports>();

        services.AddSingleton<DatabaseServer>();
        services.AddSingleton<IDbContextFactory<ControlPlaneContext>, ContextFactory>();
        services.AddSingleton<EventStream>().AddSingleton<ServerMetrics>().AddSingleton<ReconcileAges>();
        services.AddSingleton<IWebhooks, WebhookDirectory>().AddHostedService<WebhookSender>();
        services.AddSingleton<RepeatableRequests>().AddSingleton<IProjects, ProjectDirectory>().AddSingleton<IPeopleDirectory, PeopleDirectory>().AddSingleton<IAuditLog, AuditLog>();
        services.AddScoped(provider => provider.GetRequiredService<IDbContextFactory<ControlPlaneContext>>().CreateDbContext());
        services.AddHostedService<DatabaseStartup>();
        services.AddSingleton<ChangeFeed>().AddSingleton<IChangeFeed>(p => p.GetRequiredService<ChangeFeed>());
        services.AddSingleton<WantedSignal>().AddSingleton<ChangeRunner>();

        services.AddSingleton<CertificateAuthority>();
        services.AddSingleton<ServerCertificates>().AddHostedService(p => p.GetRequiredService<ServerCertificates>());

        services.AddSingleton<IHostDirectory, HostDirectory>().AddSingleton<IHostFindings, HostFindings>().AddSingleton<IVmService, VmService>().AddSingleton<IOperationLog, OperationLog>().AddSingleton<IEventLog, EventLog>();
        services.AddFleet();
        services.AddSingleton<HostOffers>().AddSingleton<IPlacement, Placer>();
        services.AddSingleton<NewestRows>().AddSingleton<IMetricsQuery, MetricsQuery>().AddSingleton<IEnrolmentTokens, EnrolmentTokens>();
        services.AddSingleton<ApiTokens>().AddSingleton<IApiTokens>(p => p.GetRequiredService<ApiTokens>());
        services.AddSingleton<OperationView>().AddSingleton<OperationExpiry>().AddHostedService(p => p.GetRequiredService<OperationExpiry>());
        services.AddSingleton<MetricPartitions>().AddSingleton<MetricsWriter>().AddHostedService(p => p.GetRequiredService<MetricsWriter>());
        services.AddSingleton<Retention>().AddHostedService(p => p.GetRequiredService<Retention>());

        services.AddSingleton<LinkRegistry>().AddSingleton<LiveStreams>().AddSingleton<EnrolmentService>();
        services.AddSingleton<BackupWriter>().AddSingleton<Restorer>().AddSingleton<StoredStateIntake>().AddSingleton<InventoryIntake>().AddSingleton<ReportIntake>().AddSingleton<ObservedIntake>().AddSingleton<WantedStateReader>();
        services.AddGrpc();
        services.AddSignalR(o => o.MaximumReceiveMessageSize = 128 * 1024).AddMessagePackProtocol();

        AddIdentity(services);
        services.AddAntiforgery();
        services.AddProblemDetails(o => o.CustomizeProblemDetails = ProblemWriter.Complete);
        services.AddExceptionHandler<ProblemWriter>();
        services.Configure<RouteHandlerOptions>(o => o.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(o => JsonFormat.Apply(o.SerializerOptions));
        services.AddApiDescription();
        builder.WebHost.ConfigureKestrel(Listening.Configure);
        return builder;
    }

    /// <summary>The middleware that everything needs, the dashboard too: the two ports kept apart, problems for the API, authentication, authorization, antiforgery.</summary>
    public static WebApplication UseControlPlane(this WebApplication app)
    {
        ArgumentNullException.ThrowIfNull(app);
        app.Use(Listening.KeepApart);
        app.Use(async (context, next) =>
        {
            var (own, time) = (context.RequestServices.GetRequiredService<ServerMetrics>(), context.RequestServices.GetRequiredService<TimeProvider>());
            var began = time.GetTimestamp();
            // Whoever handles a failure takes the endpoint away.
            var name = context.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal) ? context.GetEndpoint()?.Metadata.GetMetadata<IEndpointNameMetadata>() : null;
            await next(context);
            if (name is not null)
                own.Answered(name.EndpointName, context.Response.StatusCode, time.GetElapsedTime(began));
        });
        app.UseWhen(c => c.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal) || c.Request.Path.StartsWithSegments("/account", StringComparison.Ordinal), api =>
        {
            api.UseExceptionHandler();
            api.UseStatusCodePages();
        });
        app.UseAuthentication();
        app.UseAuthorization();
        app.UseAntiforgery();
        return app;
    }

    /// <summary>Maps the REST API with its description, the hub, sign-in, health, and the agents' services.</summary>
    public static WebApplication MapControlPlane(this WebApplication app)
    {
        ArgumentNullException.ThrowIfNull(app);
        var api = app.MapGroup("/api/v1").ProducesProblem(StatusCodes.Status401Unauthorized).ProducesProblem(StatusCodes.Status403Forbidden).DisableAntiforgery().RequireAuthorization().WithApiConventions();
        HostEndpoints.Map(api);
        FindingEndpoints.Map(api);
        VmEndpoints.Map(api);
        PlacementEndpoint.Map(api);
        OperationEndpoints.Map(api);
        TokenEndpoints.Map(api);
        ProjectEndpoints.Map(api);
        PeopleEndpoints.Map(api);
        EventStreamEndpoint.Map(api);
        WebhookEndpoints.Map(api);
        app.MapOpenApi(ApiDescription.DocumentPath).RequireAuthorization();
        var reference = app.MapGroup("");
        reference.MapScalarApiReference(ApiDescription.ReferencePath, o =>
        {
            o.Title = "Exitless API";
            o.DefaultFonts = false;
        });
        // Its files let everybody in; here nobody who has not signed in sees anything.
        ((IEndpointConventionBuilder)reference).Finally(endpoint =>
        {
            foreach (var open in endpoint.Metadata.OfType<IAllowAnonymous>().ToList())
                endpoint.Metadata.Remove(open);
        });
        app.MapHub<LiveHub>(LiveHub.Path);
        app.MapAccount();
        app.MapHealth();
        app.MapPrometheus();
        app.MapGrpcService<EnrolmentService>();
        app.MapGrpcService<AgentLinkService>();
        return app;
    }

    /// <summary>Runs the command that the arguments name, or the control plane until it is told to stop. What keeps it from starting is told in words.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunControlPlaneAsync(this WebApplication app, string[] args)
    {
        ArgumentNullException.ThrowIfNull(app);
        try
        {
            if (ControlPlaneCommands.IsCommand(args))
                return await ControlPlaneCommands.RunAsync(app, args);
            await app.RunAsync();
            return 0;
        }
        catch (StartException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
        }
        catch (OptionsValidationException e)
        {
            foreach (var failure in e.Failures)
                await Console.Error.WriteLineAsync(failure);
        }
        catch (IOException e) when (e.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            await Console.Error.WriteLineAsync($"{e.Message} Give other ports by Exitless__HttpsPort and Exitless__AgentPort, or stop what listens there.");
        }
        finally
        {
            await app.DisposeAsync();
        }
        return 1;
    }

    private static void AddIdentity(IServiceCollection services)
    {
        services.AddScoped<People>().AddHostedService<FirstPassword>();
        services.AddDataProtection().SetApplicationName("Exitless").PersistKeysToDbContext<ControlPlaneContext>();
        services.AddIdentityCore<Person>(o =>
        {
            // Passwords are made here or by their owner; length is what counts (NIST SP 800-63B §5.1.1).
            o.Password.RequiredLength = 12;
            o.Password.RequireDigit = o.Password.RequireLowercase = o.Password.RequireUppercase = o.Password.RequireNonAlphanumeric = false;
            o.Lockout.MaxFailedAccessAttempts = 10;
            o.Lockout.DefaultLockoutTimeSpan = TimeSpan.FromMinutes(5);
        }).AddEntityFrameworkStores<ControlPlaneContext>().AddSignInManager();
        services.Configure<SecurityStampValidatorOptions>(o => o.ValidationInterval = TimeSpan.FromMinutes(1));
        var authentication = services.AddAuthentication(PeopleScheme);
        authentication.AddIdentityCookies(cookies => cookies.ApplicationCookie!.Configure(o =>
        {
            o.Cookie.Name = "exitless";
            o.Cookie.SecurePolicy = CookieSecurePolicy.Always;
            o.Cookie.SameSite = SameSiteMode.Lax;
            o.ExpireTimeSpan = TimeSpan.FromDays(7);
            o.LoginPath = AccountPaths.LoginPage;
            o.ReturnUrlParameter = "returnUrl";
            o.Events.OnRedirectToLogin = RedirectOrStatus(StatusCodes.Status401Unauthorized);
            o.Events.OnRedirectToAccessDenied = DeniedAsync;
        }));
        authentication.AddScheme<AuthenticationSchemeOptions, ApiTokenHandler>(ApiTokenHandler.SchemeName, null);
        authentication.AddScheme<AuthenticationSchemeOptions, AgentCertificateHandler>(AgentCertificateHandler.SchemeName, null);
        authentication.AddPolicyScheme(PeopleScheme, null, o => o.ForwardDefaultSelector = c =>
            c.Request.Headers.ContainsKey("Authorization") || c.Request.Query.ContainsKey("access_token") ? ApiTokenHandler.SchemeName : IdentityConstants.ApplicationScheme);
        services.AddSingleton<IAuthorizationHandler, FleetViewerHandler>();
        services.AddAuthorizationBuilder()
            .SetFallbackPolicy(new AuthorizationPolicyBuilder(PeopleScheme).RequireAuthenticatedUser().AddRequirements(new FleetViewer()).Build())
            .SetDefaultPolicy(new AuthorizationPolicyBuilder(PeopleScheme).RequireAuthenticatedUser().Build())
            .AddPolicy(AgentCertificateHandler.Policy, p => p.AddAuthenticationSchemes(AgentCertificateHandler.SchemeName).RequireAuthenticatedUser());
    }

    /// <summary>Pages lead to the login page; programs get a status.</summary>
    private static Func<RedirectContext<CookieAuthenticationOptions>, Task> RedirectOrStatus(int status) => context =>
    {
        if (Array.Exists(MachinePaths, p => context.Request.Path.StartsWithSegments(p, StringComparison.Ordinal)))
            context.Response.StatusCode = status;
        else
            context.Response.Redirect(context.RedirectUri);
        return Task.CompletedTask;
    };

    private static async Task DeniedAsync(RedirectContext<CookieAuthenticationOptions> context)
    {
        context.Response.StatusCode = StatusCodes.Status403Forbidden;
        if (!Array.Exists(MachinePaths, p => context.Request.Path.StartsWithSegments(p, StringComparison.Ordinal)))
            await context.Response.WriteAsync("The dashboard shows the whole fleet and takes a role in it. Your roles are in projects only, or you have none: use the REST API or the exitless command, or ask an administrator.");
    }

    private static void AddLogging(WebApplicationBuilder builder, bool command)
    {
        foreach (var noisy in new[] { "Microsoft.AspNetCore", "Microsoft.EntityFrameworkCore", "Npgsql", "Grpc" })
            builder.Logging.AddFilter(noisy, LogLevel.Warning);
        // The keys lie in the database, beside all that they protect; encrypting them there would need a key beside them.
        builder.Logging.AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error);
        if (!command)
            return;
        // A command's standard output is its answer.
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Logging.AddFilter("Exitless", LogLevel.Warning);
        builder.Logging.AddConsole(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
    }
}
