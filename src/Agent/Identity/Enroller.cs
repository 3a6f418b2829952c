using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.Contracts;
using Exitless.Linux;
using Grpc.Core;

namespace Exitless.Agent.Identity;

/// <summary>Turns a one-time token into a certificate, and a certificate into its successor.</summary>
internal sealed class Enroller(CertificateStore store, ServerChannel channels, HostRoot root)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Enrols this host. The token is sent only to a server whose CA has the fingerprint.</summary>
    /// <exception cref="AgentException">Refused, not reachable, or not the control plane that the fingerprint names.</exception>
    public async Task EnrolAsync(Uri server, string token, string fingerprint, CancellationToken stop)
    {
        try
        {
            using var authority = await AuthorityAsync(server, fingerprint, stop);
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            using var channel = channels.OpenAnonymous(server, authority);
            var reply = await new Enrolment.EnrolmentClient(channel).EnrolAsync(
                new EnrolRequest
                {
                    Token = token,
                    SigningRequest = Google.Protobuf.ByteString.CopyFrom(SigningRequest(key)),
                    HostName = HostFacts.Name(root),
                    MachineId = HostFacts.MachineId(root),
                    AgentVersion = HostFacts.AgentVersion,
                },
                deadline: null, cancellationToken: stop).ResponseAsync.WaitAsync(Limit, stop);
            CheckCertificate(reply.CertificatePem, key);
            store.Save(server, key, reply.CertificatePem, authority.ExportCertificatePem());
        }
        catch (RpcException e)
        {
            throw new AgentException(Words(server, e), RemedyFor(e.StatusCode), e);
        }
        catch (TimeoutException e)
        {
            throw new AgentException($"{server} did not answer within {Limit.TotalSeconds:0} s.", "Check the address and the port (7444 unless changed), and any firewall between.", e);
        }
    }

    /// <summary>Gets a new certificate with a new key over a channel that the old one opened, and stores both.</summary>
    public async Task RenewAsync(AgentLink.AgentLinkClient link, CancellationToken stop)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var reply = await link.RenewAsync(
            new RenewRequest { SigningRequest = Google.Protobuf.ByteString.CopyFrom(SigningRequest(key)) }, cancellationToken: stop).ResponseAsync.WaitAsync(Limit, stop);
        CheckCertificate(reply.CertificatePem, key);
        using var current = store.Load();
        // The CA stays the one that the fingerprint named; a reply cannot replace it.
        store.Renew(key, reply.CertificatePem, current.Authority.ExportCertificatePem());
    }

    private static async Task<X509Certificate2> AuthorityAsync(Uri server, string fingerprint, CancellationToken stop)
    {
        using var channel = ServerChannel.OpenUntrusted(server);
        var reply = await new Enrolment.EnrolmentClient(channel).AuthorityAsync(new AuthorityRequest(), cancellationToken: stop).ResponseAsync.WaitAsync(Limit, stop);
        X509Certificate2 authority;
        try
        {
            authority = X509Certificate2.CreateFromPem(reply.AuthorityPem);
        }
        catch (CryptographicException e)
        {
            throw new AgentException($"{server} did not send a CA certificate: {e.Message}", "Check that the address is that of the control plane's agent port (7444 unless changed).", e);
        }
        if (ServerTrust.HasFingerprint(authority, fingerprint))
            return authority;
        var found = ServerTrust.FingerprintOf(authority);
        authority.Dispose();
        throw new AgentException(
            $"{server} is not the control plane that you named: its CA has the fingerprint {found}, not {fingerprint}.",
            "Copy the fingerprint again from the dashboard's enrolment page. If it is right, something between this host and the control plane answers in its place: do not enrol.");
    }

    // The subject is the control plane's to choose: it knows the host's id.
    private static byte[] SigningRequest(ECDsa key) => new CertificateRequest("CN=exitless-agent", key, HashAlgorithmName.SHA256).CreateSigningRequest();

    private static void CheckCertificate(string pem, ECDsa key)
    {
        using var certificate = X509Certificate2.CreateFromPem(pem);
        using var issued = certificate.GetECDsaPublicKey();
        if (issued is null || !issued.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(key.ExportSubjectPublicKeyInfo()))
            throw new AgentException("The control plane sent a certificate of another key.", "Report this with the control plane's log; the host is not enrolled.");
    }

    private static string Words(Uri server, RpcException e) => e.StatusCode switch
    {
        StatusCode.Unavailable => $"{server} cannot be reached: {InnermostMessage(e)}",
        _ => e.Status.Detail.Length > 0 ? e.Status.Detail : $"{server} refused: {e.StatusCode}",
    };

    private static string RemedyFor(StatusCode code) => code switch
    {
        StatusCode.Unavailable => "Check the address and the port (7444 unless changed), and any firewall between.",
        StatusCode.Unauthenticated or StatusCode.PermissionDenied or StatusCode.NotFound or StatusCode.InvalidArgument or StatusCode.FailedPrecondition
            => "Make a new token on the dashboard's enrolment page: a token is good for one host, once, for a limited time.",
        StatusCode.Unimplemented => "The address answers, but not as a control plane of this version: check the port (7444 unless changed).",
        _ => "Look into the control plane's log.",
    };

    private static string InnermostMessage(Exception e)
    {
        while (e.InnerException is { } inner)
            e = inner;
        return e is RpcException rpc ? rpc.Status.DebugException is { } debug && debug != e ? InnermostMessage(debug) : rpc.Status.Detail : e.Message;
    }
}
