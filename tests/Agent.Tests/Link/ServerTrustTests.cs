using Exitless.Agent.Identity;
using Exitless.Agent.Tests.Peer;

namespace Exitless.Agent.Tests.Link;

public sealed class ServerTrustTests
{
    private readonly DateTimeOffset _now = TimeProvider.System.GetUtcNow();

    [Theory]
    [InlineData("control-plane.exitless.internal", "1.3.6.1.5.5.7.3.1", true)]
    [InlineData("other.exitless.internal", "1.3.6.1.5.5.7.3.1", false)]
    [InlineData("*.exitless.internal", "1.3.6.1.5.5.7.3.1", false)]
    [InlineData("control-plane.exitless.internal", "1.3.6.1.5.5.7.3.2", false)]   // an agent's certificate is no server's
    public void Name_and_usage_decide(string name, string usage, bool trusted)
    {
        using var authority = new TestAuthority();
        using var server = authority.IssueServer(name, usage);
        Assert.Equal(trusted, ServerTrust.IsControlPlane(authority.Certificate, server, _now));
    }

    [Fact]
    public void Another_CA_and_an_expired_certificate_are_refused()
    {
        using var authority = new TestAuthority();
        using var other = new TestAuthority();
        using var server = authority.IssueServer(ServerTrust.ServerName);
        Assert.False(ServerTrust.IsControlPlane(other.Certificate, server, _now));
        Assert.False(ServerTrust.IsControlPlane(authority.Certificate, server, _now.AddYears(2)));
        Assert.False(ServerTrust.IsControlPlane(authority.Certificate, null, _now));
    }

    [Fact]
    public void A_fingerprint_may_be_written_with_colons_and_in_capitals()
    {
        using var authority = new TestAuthority();
        var digits = authority.Fingerprint[7..].ToUpperInvariant();
        Assert.True(ServerTrust.HasFingerprint(authority.Certificate, string.Join(':', digits.Chunk(2).Select(c => new string(c)))));
        Assert.False(ServerTrust.HasFingerprint(authority.Certificate, "sha256:" + new string('0', 64)));
        Assert.False(ServerTrust.HasFingerprint(authority.Certificate, digits[..32]));
    }
}
