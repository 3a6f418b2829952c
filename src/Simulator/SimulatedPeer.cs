using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Exitless.Contracts;
using Google.Protobuf;
using Grpc.Net.Client;

namespace Exitless.Simulator;

/// <summary>The control plane that a fleet of simulated hosts dials: its agents' address and the one CA that is trusted.</summary>
public sealed class SimulatedPeer : IDisposable
{
    /// <summary>The DNS name in the certificate of every control plane's agents' port.</summary>
    private const string ServerName = "control-plane.exitless.internal";

    // Handshakes of thousands at one instant would starve each other until all of them time out.
    private const int DialTogether = 32;

    private readonly X509Certificate2 _authority;
    private readonly Lock _gate = new();
    private readonly HashSet<string> _trusted = new(StringComparer.Ordinal);

    private SimulatedPeer(Uri address, X509Certificate2 authority)
    {
        (Address, _authority) = (address, authority);
        Anonymous = Open(null);
    }

    /// <summary>The agents' port.</summary>
    public Uri Address { get; }

    /// <summary>Held by each link from its dialling to its welcome.</summary>
    internal SemaphoreSlim Dialling { get; } = new(DialTogether);

    /// <summary>A channel without a certificate of its own, for enrolments; one for all hosts.</summary>
    internal GrpcChannel Anonymous { get; }

    /// <summary>Fetches the CA as an agent does that enrols, and compares its fingerprint.</summary>
    /// <param name="address">The agents' port.</param>
    /// <param name="fingerprint"><c>sha256:</c> and the SHA-256 of the CA certificate's DER in lower-case hexadecimal.</param>
    /// <param name="ct">Ends the call.</param>
    /// <exception cref="InvalidOperationException">Another CA answers.</exception>
    public static async Task<SimulatedPeer> FindAsync(Uri address, string fingerprint, CancellationToken ct)
    {
#pragma warning disable CA5359 // What comes over this channel is compared with the fingerprint; nothing secret is sent.
        using var channel = Open(address, null, (_, _, _, _) => true);
#pragma warning restore CA5359
        var reply = await new Enrolment.EnrolmentClient(channel).AuthorityAsync(new AuthorityRequest(), cancellationToken: ct);
        var authority = X509Certificate2.CreateFromPem(reply.AuthorityPem);
        var found = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(authority.RawData));
        if (found == fingerprint)
            return new SimulatedPeer(address, authority);
        authority.Dispose();
        throw new InvalidOperationException($"The CA of {address} has the fingerprint {found}, not {fingerprint}. Take the fingerprint from the control plane that answers there.");
    }

    /// <summary>Enrols a host; the same name and seed is the same machine again.</summary>
    internal async Task<(string HostId, X509Certificate2 Certificate)> EnrolAsync(string token, string name, ulong seed, CancellationToken ct)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var reply = await new Enrolment.EnrolmentClient(Anonymous).EnrolAsync(new EnrolRequest
        {
            Token = token,
            SigningRequest = ByteString.CopyFrom(new CertificateRequest("CN=exitless-simulator", key, HashAlgorithmName.SHA256).CreateSigningRequest()),
            HostName = name,
            MachineId = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"simulated {name} {seed}")))[..32],
            AgentVersion = SimulatedLink.AgentVersion,
        }, cancellationToken: ct);
        using var certificate = X509Certificate2.CreateFromPem(reply.CertificatePem);
        return (reply.HostId, certificate.CopyWithPrivateKey(key));
    }

    /// <summary>A channel of a host's own, under mutual TLS.</summary>
    internal GrpcChannel Open(X509Certificate2? own) => Open(Address, own, (_, presented, _, _) => IsTrusted(presented));

    /// <inheritdoc/>
    public void Dispose()
    {
        Anonymous.Dispose();
        Dialling.Dispose();
        _authority.Dispose();
    }

    private static GrpcChannel Open(Uri address, X509Certificate2? own, RemoteCertificateValidationCallback isTrusted)
    {
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectTimeout = TimeSpan.FromSeconds(30),
            SslOptions = new SslClientAuthenticationOptions { TargetHost = ServerName, RemoteCertificateValidationCallback = isTrusted },
        };
        if (own is not null)
            handler.SslOptions.ClientCertificates = [own];
        return GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, MaxReceiveMessageSize = 16 << 20 });
    }

    // A chain is built once for each certificate that the control plane shows, not once for each of thousands of links.
    private bool IsTrusted(X509Certificate? presented)
    {
        if (presented is null)
            return false;
        lock (_gate)
        {
            if (_trusted.Contains(presented.GetCertHashString(HashAlgorithmName.SHA256)))
                return true;
            using var server = X509CertificateLoader.LoadCertificate(presented.GetRawCertData());
            using var chain = new X509Chain { ChainPolicy = { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true } };
            chain.ChainPolicy.CustomTrustStore.Add(_authority);
            if (!server.MatchesHostname(ServerName, allowWildcards: false, allowCommonName: false) || !chain.Build(server))
                return false;
            _trusted.Add(presented.GetCertHashString(HashAlgorithmName.SHA256));
            return true;
        }
    }
}
