using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Grpc.Net.Client;

namespace Exitless.Agent.Identity;

/// <summary>Opens gRPC channels to the control plane.</summary>
internal sealed class ServerChannel(TimeProvider time)
{
    /// <summary>A channel that trusts nobody in particular: for the CA certificate alone, which proves itself by its fingerprint.</summary>
#pragma warning disable CA5359 // The certificate that this channel fetches is compared with a fingerprint; nothing secret is sent on it.
    public static GrpcChannel OpenUntrusted(Uri server) => Open(server, null, (_, _, _, _) => true);
#pragma warning restore CA5359

    /// <summary>A channel to a server proven by the CA, with no certificate of the agent's own.</summary>
    public GrpcChannel OpenAnonymous(Uri server, X509Certificate2 authority) =>
        Open(server, null, (_, certificate, _, _) => ServerTrust.IsControlPlane(authority, certificate, time.GetUtcNow()));

    /// <summary>A channel under mutual TLS.</summary>
    public GrpcChannel Open(Uri server, AgentIdentity identity) =>
        Open(server, identity.Certificate, (_, certificate, _, _) => ServerTrust.IsControlPlane(identity.Authority, certificate, time.GetUtcNow()));

    private static GrpcChannel Open(Uri server, X509Certificate2? own, RemoteCertificateValidationCallback isTrusted)
    {
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            // A peer that vanished (no FIN) is noticed within these two.
            KeepAlivePingDelay = TimeSpan.FromSeconds(10),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
            SslOptions = new SslClientAuthenticationOptions
            {
                TargetHost = ServerTrust.ServerName,
                RemoteCertificateValidationCallback = isTrusted,
            },
        };
        if (own is not null)
            handler.SslOptions.ClientCertificates = [own];
        return GrpcChannel.ForAddress(server, new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, MaxReceiveMessageSize = 16 << 20 });
    }
}
