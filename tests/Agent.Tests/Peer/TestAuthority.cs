using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Exitless.Agent.Tests.Peer;

/// <summary>A CA as the control plane has one.</summary>
internal sealed class TestAuthority : IDisposable
{
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public TestAuthority()
    {
        var request = new CertificateRequest("CN=Test CA", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        Certificate = request.CreateSelfSigned(Start, Start.AddYears(10));
    }

    public static DateTimeOffset Start { get; } = TimeProvider.System.GetUtcNow().AddDays(-10);

    public X509Certificate2 Certificate { get; }

    public string Fingerprint => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Certificate.RawData));

    /// <summary>A server's certificate for a DNS name.</summary>
    public X509Certificate2 IssueServer(string name, string usage = "1.3.6.1.5.5.7.3.1")
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=server", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        using var issued = request.Create(Certificate, Start, Start.AddYears(1), RandomNumberGenerator.GetBytes(8));
        using var withKey = issued.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>A client's certificate for a signing request.</summary>
    public string IssueClient(byte[] signingRequest, string hostId, DateTimeOffset from, DateTimeOffset until)
    {
        var asked = CertificateRequest.LoadSigningRequest(signingRequest, HashAlgorithmName.SHA256);   // checks its signature
        var request = new CertificateRequest(new X500DistinguishedName("CN=" + hostId), asked.PublicKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.2")], false));
        using var issued = request.Create(
            Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(_key), from, until, RandomNumberGenerator.GetBytes(8));
        return issued.ExportCertificatePem();
    }

    public void Dispose()
    {
        _key.Dispose();
        Certificate.Dispose();
    }
}
