using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Link;

public sealed class EnrolmentTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task A_token_turns_into_a_host_with_a_certificate()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "new");
        Assert.Equal($"CN={agent.Id}", agent.Certificate.Subject);
        Assert.Null(host.Authority.Refuse(agent.Certificate));
        Assert.InRange(new DateTimeOffset(agent.Certificate.NotAfter.ToUniversalTime()) - host.Clock.GetUtcNow(), TimeSpan.FromDays(89), TimeSpan.FromDays(91));
        var seen = await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}");
        Assert.Equal("new", seen.Name);
        Assert.False(seen.Connected);
        Assert.Null(seen.Facts);
    }

    [Fact]
    public async Task The_authority_is_served_before_enrolment_and_matches_the_fingerprint()
    {
        using var channel = ScriptedAgent.Channel(host, null);
        var reply = await new Enrolment.EnrolmentClient(channel).AuthorityAsync(new AuthorityRequest());
        using var authority = X509Certificate2.CreateFromPem(reply.AuthorityPem);
        Assert.Equal(host.Authority.Fingerprint, "sha256:" + Convert.ToHexStringLower(SHA256.HashData(authority.RawData)));
    }

    [Fact]
    public async Task A_used_token_is_refused_with_words()
    {
        var token = await TokenAsync();
        await using var first = await ScriptedAgent.EnrolAsync(host, token, "first", null);
        var refused = await Assert.ThrowsAsync<RpcException>(() => ScriptedAgent.EnrolAsync(host, token, "second", null));
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("was used at", refused.Status.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain((await host.GetAsync<List<HostDto>>("/api/v1/hosts")), h => h.Name == "second");
    }

    [Fact]
    public async Task An_expired_token_is_refused_with_words()
    {
        var token = await TokenAsync();
        await using (var db = host.Database())
            await db.EnrolmentTokens.Where(t => t.UsedAt == null).ExecuteUpdateAsync(s => s.SetProperty(t => t.ExpiresAt, host.Clock.GetUtcNow().AddSeconds(-1)), TestContext.Current.CancellationToken);
        var refused = await Assert.ThrowsAsync<RpcException>(() => ScriptedAgent.EnrolAsync(host, token, "late", null));
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("expired at", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_token_is_refused_with_words()
    {
        var refused = await Assert.ThrowsAsync<RpcException>(() => ScriptedAgent.EnrolAsync(host, "exen_nonsense", "nobody", null));
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("unknown", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 1, 2, 3 }, "name")]
    [InlineData(new byte[0], "name")]
    [InlineData(new byte[] { 1 }, "")]
    public async Task A_request_that_cannot_be_signed_leaves_the_token_as_it_was(byte[] signingRequest, string name)
    {
        var token = await TokenAsync();
        using var channel = ScriptedAgent.Channel(host, null);
        var refused = await Assert.ThrowsAsync<RpcException>(() => new Enrolment.EnrolmentClient(channel).EnrolAsync(new EnrolRequest { Token = token, SigningRequest = ByteString.CopyFrom(signingRequest), HostName = name }).ResponseAsync);
        Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
        await using var agent = await ScriptedAgent.EnrolAsync(host, token, "afterwards", null);
        Assert.NotEqual(Guid.Empty, agent.Id);
    }

    [Fact]
    public async Task A_weak_key_is_refused()
    {
        using var key = RSA.Create(1024);
        var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSigningRequest();
        using var channel = ScriptedAgent.Channel(host, null);
        var token = await TokenAsync();
        var refused = await Assert.ThrowsAsync<RpcException>(() => new Enrolment.EnrolmentClient(channel).EnrolAsync(new EnrolRequest { Token = token, SigningRequest = ByteString.CopyFrom(request), HostName = "weak" }).ResponseAsync);
        Assert.Contains("2048", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_machine_that_comes_back_is_the_same_host_and_its_old_certificate_is_no_good()
    {
        const string Machine = "0123456789abcdef0123456789abcdef";
        await using var before = await ScriptedAgent.EnrolAsync(host, "back", Machine);
        await using var after = await ScriptedAgent.EnrolAsync(host, "back", Machine);
        Assert.Equal(before.Id, after.Id);
        using var refused = await before.AttachAsync();
        Assert.Equal(StatusCode.Unauthenticated, (await refused.EndAsync()).StatusCode);
        var (link, _, _) = await after.AttachWelcomedAsync();
        link.Dispose();
    }

    [Theory]
    [InlineData("")]
    [InlineData("00000000-0000-0000-0000-000000000000")]
    [InlineData("ffffffff-ffff-ffff-ffff-ffffffffffff")]
    public async Task Machines_without_an_identity_are_never_taken_for_each_other(string machine)
    {
        await using var one = await ScriptedAgent.EnrolAsync(host, "same", machine);
        await using var other = await ScriptedAgent.EnrolAsync(host, "same", machine);
        Assert.NotEqual(one.Id, other.Id);
    }

    [Fact]
    public async Task A_copy_of_a_connected_host_is_refused()
    {
        const string Machine = "abcdef0123456789abcdef0123456789";
        await using var original = await ScriptedAgent.EnrolAsync(host, "original", Machine);
        var (link, _, _) = await original.AttachWelcomedAsync();
        var refused = await Assert.ThrowsAsync<RpcException>(() => ScriptedAgent.EnrolAsync(host, "original", Machine));
        Assert.Equal(StatusCode.AlreadyExists, refused.StatusCode);
        link.Dispose();
    }

    private async Task<string> TokenAsync() =>
        (await host.Services.GetRequiredService<IEnrolmentTokens>().CreateAsync(new CreateEnrolmentTokenRequest(), TestHost.By, CancellationToken.None)).Token;
}
