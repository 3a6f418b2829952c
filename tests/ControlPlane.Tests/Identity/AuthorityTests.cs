using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Tests.Identity;

public sealed class AuthorityTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly OffsetClock _clock = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_key_is_the_owners_alone_and_the_authority_stays_the_same()
    {
        using var first = Authority();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder.Path, "authority", "ca.key")));
        using var again = Authority();
        Assert.Equal(first.Fingerprint, again.Fingerprint);
        Assert.Equal("1.2.840.10045.2.1", first.Certificate.PublicKey.Oid.Value);
        using var published = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(_folder.Path, "authority.pem"));
        Assert.Equal(first.Certificate, published);
    }

    [Fact]
    public void A_certificate_without_its_key_is_told_and_not_replaced()
    {
        Authority().Dispose();
        File.Delete(Path.Combine(_folder.Path, "authority", "ca.key"));
        Assert.Contains("ca.key", Assert.Throws<StartException>(Authority).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Server_certificates_are_kept_over_a_restart_and_renewed_in_time()
    {
        using var authority = Authority();
        using var first = Certificates(authority);
        Assert.True(first.Agents.MatchesHostname(CertificateAuthority.AgentServerName));
        Assert.True(first.People.MatchesHostname("localhost"));
        Assert.True(first.People.MatchesHostname("127.0.0.1"));
        Assert.True(first.People.MatchesHostname("console.example"));
        using var again = Certificates(authority);
        Assert.Equal(first.People.SerialNumber, again.People.SerialNumber);
        Assert.True(again.People.HasPrivateKey);
        _clock.Advance(TimeSpan.FromDays(59));
        again.Renew();
        Assert.Equal(first.People.SerialNumber, again.People.SerialNumber);
        _clock.Advance(TimeSpan.FromDays(2));
        again.Renew();
        Assert.NotEqual(first.People.SerialNumber, again.People.SerialNumber);
        Assert.NotEqual(first.Agents.SerialNumber, again.Agents.SerialNumber);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder.Path, "authority", "people.pem")));
    }

    [Fact]
    public void A_certificate_of_ones_own_is_shown_to_people()
    {
        using var authority = Authority();
        using var key = RSA.Create(2048);
        using var given = new CertificateRequest("CN=console.example", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSelfSigned(_clock.GetUtcNow(), _clock.GetUtcNow().AddDays(1));
        var file = Path.Combine(_folder.Path, "given.pem");
        File.WriteAllText(file, given.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem());
        using var certificates = Certificates(authority, file);
        Assert.Equal(given.SerialNumber, certificates.People.SerialNumber);
        File.WriteAllText(file, "nonsense");
        Assert.Throws<StartException>(() => Certificates(authority, file));
    }

    [Fact]
    public void Agents_certificates_are_refused_before_and_after_their_time_and_for_another_purpose()
    {
        using var authority = Authority();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var agent = authority.IssueAgent(ScriptedAgent.SigningRequest(key), Guid.CreateVersion7());
        Assert.Null(authority.Refuse(agent));
        using var server = authority.IssueServer("x", ["x"]);
        Assert.NotNull(authority.Refuse(server));
        _clock.Advance(TimeSpan.FromDays(91));
        Assert.Contains("ended at", authority.Refuse(agent), StringComparison.Ordinal);
    }

    private CertificateAuthority Authority() => new(Settings(null), _clock, NullLogger<CertificateAuthority>.Instance);

    private ServerCertificates Certificates(CertificateAuthority authority, string? given = null) => new(authority, Settings(given), _clock, NullLogger<ServerCertificates>.Instance);

    private IOptions<ControlPlaneOptions> Settings(string? given) => Options.Create(new ControlPlaneOptions { DataFolder = _folder.Path, Certificate = given, CertificateNames = "console.example" });
}
