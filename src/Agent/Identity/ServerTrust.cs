using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Exitless.Agent.Identity;

/// <summary>
/// Which server is the control plane: one whose certificate chains to the one trusted CA and carries the DNS name <see cref="ServerName"/>. The host name in the
/// address is not looked at, so that the control plane may be reached through port forwards, by any name or address.
/// </summary>
internal static class ServerTrust
{
    public const string ServerName = "control-plane.exitless.internal";
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";   // RFC 5280 id-kp-serverAuth

    public static bool IsControlPlane(X509Certificate2 authority, X509Certificate? presented, DateTimeOffset now)
    {
        if (presented is null)
            return false;
        using var server = X509CertificateLoader.LoadCertificate(presented.GetRawCertData());
        if (!server.MatchesHostname(ServerName, allowWildcards: false, allowCommonName: false))
            return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;   // short-lived; a CA that is not the one pinned cannot help
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ServerAuthentication));
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        chain.ChainPolicy.VerificationTimeIgnored = false;
        return chain.Build(server);
    }

    public static string FingerprintOf(X509Certificate2 certificate) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(certificate.RawData));

    /// <summary>True when the certificate's fingerprint is the given one: "sha256:" and 64 hexadecimal digits, colons between them allowed.</summary>
    public static bool HasFingerprint(X509Certificate2 certificate, string fingerprint)
    {
        var digits = fingerprint.Trim();
        if (digits.StartsWith("sha256:", StringComparison.OrdinalIgnoreCase))
            digits = digits[7..];
        return string.Equals("sha256:" + digits.Replace(":", "").ToLowerInvariant(), FingerprintOf(certificate), StringComparison.Ordinal);
    }
}
