using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Authority;

/// <summary>
/// The control plane's own CA (ECDSA P-256), made at its first start. Agents pin its certificate; it signs their certificates and the server's.
/// Its key is <c>authority/ca.key</c> in the data folder, readable by its owner only: whoever has that file can be any host.
/// </summary>
internal sealed partial class CertificateAuthority : IDisposable
{
    /// <summary>What agents expect of the server's certificate, whatever address they dial.</summary>
    public const string AgentServerName = "control-plane.exitless.internal";

    public static readonly TimeSpan AgentLife = TimeSpan.FromDays(90);
    public static readonly TimeSpan ServerLife = TimeSpan.FromDays(90);

    /// <summary>A certificate is good a little before it is made, for hosts whose clock is behind.</summary>
    private static readonly TimeSpan ClockSlack = TimeSpan.FromHours(1);

    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly TimeProvider _time;
    private readonly X509Certificate2 _authority;

    public CertificateAuthority(IOptions<ControlPlaneOptions> options, TimeProvider time, ILogger<CertificateAuthority> logger)
    {
        _time = time;
        DataFolder.Make(options.Value.DataFolder);
        Folder = Path.Combine(options.Value.DataFolder, "authority");
        DataFolder.Make(Folder);
        _authority = Load() ?? Make();
        Certificate = X509CertificateLoader.LoadCertificate(_authority.RawData);
        // Where scripts on this machine look for it.
        File.WriteAllText(Path.Combine(options.Value.DataFolder, "authority.pem"), Certificate.ExportCertificatePem() + "\n");
        Fingerprint = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(_authority.RawData));
        LogReady(logger, _authority.Subject, Fingerprint);
    }

    /// <summary>Where its files are.</summary>
    public string Folder { get; }

    /// <summary>The CA's certificate, without its key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary><c>sha256:</c> and the SHA-256 of the certificate's DER: what an agent is told to trust.</summary>
    public string Fingerprint { get; }

    /// <summary>Signs a certificate for a host's agent. The request gives the key and nothing else.</summary>
    /// <exception cref="CryptographicException">The request is no PKCS#10, its signature is wrong, or its key is too weak.</exception>
    public X509Certificate2 IssueAgent(byte[] signingRequest, Guid hostId)
    {
        var request = CertificateRequest.LoadSigningRequest(signingRequest, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.Default, RSASignaturePadding.Pkcs1);
        using var ecdsa = request.PublicKey.GetECDsaPublicKey();
        using var rsa = request.PublicKey.GetRSAPublicKey();
        if ((ecdsa?.KeySize ?? 0) < 256 && (rsa?.KeySize ?? 0) < 2048)
            throw new CryptographicException("The key is neither elliptic of at least 256 bits nor RSA of at least 2048 bits.");
        return Sign(new CertificateRequest(new X500DistinguishedName($"CN={hostId:D}"), request.PublicKey, HashAlgorithmName.SHA256), ClientAuthentication, AgentLife);
    }

    /// <summary>A certificate with its key, for the server side of either port.</summary>
    public X509Certificate2 IssueServer(string commonName, IEnumerable<string> names)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(new X500DistinguishedName($"CN={commonName}"), key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            if (IPAddress.TryParse(name, out var address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }
        request.CertificateExtensions.Add(alternatives.Build());
        using var certificate = Sign(request, ServerAuthentication, ServerLife);
        return certificate.CopyWithPrivateKey(key);
    }

    /// <summary>Why a certificate is not one of this CA's for an agent now; null: it is.</summary>
    public string? Refuse(X509Certificate2 certificate)
    {
        var now = _time.GetUtcNow();
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(Certificate);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        chain.ChainPolicy.VerificationTimeIgnored = false;
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        if (chain.Build(certificate))
            return null;
        return chain.ChainStatus.Any(s => s.Status.HasFlag(X509ChainStatusFlags.NotTimeValid)) && chain.ChainStatus.All(s => s.Status is X509ChainStatusFlags.NotTimeValid)
            ? $"The certificate ended at {certificate.NotAfter.ToUniversalTime():u}. Enrol the host again with a new token."
            : $"The certificate was not issued by this control plane (its CA is {Fingerprint}). Enrol the host with a token of this control plane.";
    }

    public void Dispose()
    {
        _authority.Dispose();
        Certificate.Dispose();
    }

    private X509Certificate2 Sign(CertificateRequest request, string purpose, TimeSpan life)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        // A positive serial number of 127 random bits (RFC 5280 §4.1.2.2 wants it unique and positive).
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)((serial[0] & 0x7f) | 0x40);
        var now = _time.GetUtcNow();
        var (first, last) = (new DateTimeOffset(_authority.NotBefore.ToUniversalTime()), new DateTimeOffset(_authority.NotAfter.ToUniversalTime()));
        return request.Create(_authority, now - ClockSlack > first ? now - ClockSlack : first, now + life < last ? now + life : last, serial);
    }

    private string KeyFile => Path.Combine(Folder, "ca.key");

    private string CertificateFile => Path.Combine(Folder, "ca.crt");

    private X509Certificate2? Load()
    {
        if (!File.Exists(CertificateFile))
            return null;
        if (!File.Exists(KeyFile))
            throw new StartException($"The CA's certificate '{CertificateFile}' is there, and its key is not.", "Bring ca.key back from a backup; without it every host must enrol again (move ca.crt away for a new CA).");
        File.SetUnixFileMode(KeyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        try
        {
            return X509Certificate2.CreateFromPemFile(CertificateFile, KeyFile);
        }
        catch (CryptographicException e)
        {
            throw new StartException($"The CA in '{Folder}' cannot be read: {e.Message}", "Bring ca.key and ca.crt back from a backup.", e);
        }
    }

    private X509Certificate2 Make()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var name = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4));
        var request = new CertificateRequest(new X500DistinguishedName($"CN=Exitless CA {name}"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        var now = _time.GetUtcNow();
        var certificate = request.CreateSelfSigned(now - ClockSlack, now.AddYears(20));
        // The key first: a certificate without its key would be an error at the next start.
        DataFolder.WriteSecret(KeyFile, key.ExportPkcs8PrivateKeyPem() + "\n");
        File.WriteAllText(CertificateFile, certificate.ExportCertificatePem() + "\n");
        return certificate;
    }

    [LoggerMessage(1101, LogLevel.Information, "Certificate authority {Subject}, {Fingerprint}.")]
    private static partial void LogReady(ILogger logger, string subject, string fingerprint);
}
