using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Run.Stack;

/// <summary>A connection to the live hub, as the dashboard has one.</summary>
public static class LiveConnection
{
    /// <summary>Opens it; whoever disposes it leaves.</summary>
    public static async Task<HubConnection> OpenAsync(RestClient rest, CancellationToken cancellation)
    {
        var hub = new HubConnectionBuilder()
            .WithUrl(new Uri(rest.Address, "hubs/live"), options =>
            {
                options.AccessTokenProvider = () => Task.FromResult<string?>(rest.Token);
                options.HttpMessageHandlerFactory = _ => rest.Handler();
                // WebSockets of the client take no message handler, so the CA could not be checked there.
                options.Transports = Microsoft.AspNetCore.Http.Connections.HttpTransportType.ServerSentEvents
                    | Microsoft.AspNetCore.Http.Connections.HttpTransportType.LongPolling;
            })
            .AddMessagePackProtocol()
            .Build();
        await hub.StartAsync(cancellation);
        return hub;
    }
}
