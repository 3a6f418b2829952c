using Exitless.ControlPlane.Authority;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Configuration;

/// <summary>Two ports: people and programs on one, agents on the other. Neither answers what belongs to the other.</summary>
internal static class Listening
{
    private const string AgentServices = "/exitless.agent.";

    private static readonly TimeSpan PingAfter = TimeSpan.FromSeconds(10);

    public static void Configure(KestrelServerOptions kestrel)
    {
        var services = kestrel.ApplicationServices;
        var options = services.GetRequiredService<IOptions<ControlPlaneOptions>>().Value;
        var certificates = services.GetRequiredService<ServerCertificates>();
        ListenOptions? people = null, agents = null;
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = 1024 * 1024;
        // A host that lost its power sends no FIN.
        kestrel.Limits.Http2.KeepAlivePingDelay = PingAfter;
        kestrel.Limits.Http2.KeepAlivePingTimeout = PingAfter;
        kestrel.Listen(options.Address, options.HttpsPort, listen =>
        {
            people = listen;
            listen.Protocols = HttpProtocols.Http1AndHttp2;
            listen.UseHttps(new HttpsConnectionAdapterOptions { ServerCertificateSelector = (_, _) => certificates.People });
        });
        kestrel.Listen(options.Address, options.AgentPort, listen =>
        {
            agents = listen;
            listen.Protocols = HttpProtocols.Http2;
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificateSelector = (_, _) => certificates.Agents,
                ClientCertificateMode = ClientCertificateMode.AllowCertificate,
                // Judged by AgentCertificateHandler, which can say what is wrong.
                ClientCertificateValidation = (_, _, _) => true,
            });
            listen.Use(next => connection =>
            {
                connection.Features.Set(AgentConnection.Mark);
                return next(connection);
            });
        });
        services.GetRequiredService<Ports>().Set(people!, agents!);
    }

    /// <summary>Middleware: an agents' connection reaches the agents' services and nothing else, and nobody else reaches those.</summary>
    public static Task KeepApart(HttpContext context, RequestDelegate next)
    {
        var fromAgent = context.Features.Get<AgentConnection>() is not null;
        var toAgents = context.Request.Path.Value?.StartsWith(AgentServices, StringComparison.Ordinal) == true;
        if (fromAgent == toAgents)
            return next(context);
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    private sealed class AgentConnection
    {
        public static readonly AgentConnection Mark = new();
    }
}
