using Exitless.Agent.Identity;
using Exitless.Agent.Tests.Peer;
using Exitless.Linux;

namespace Exitless.Agent.Tests.Link;

public sealed class EnrolmentTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly CertificateStore _store;
    private readonly Enroller _enroller;

    public EnrolmentTests()
    {
        _store = new CertificateStore(_folder.Path);
        _enroller = new Enroller(_store, new ServerChannel(TimeProvider.System), HostRoot.Machine);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_token_becomes_a_certificate_that_only_the_owner_reads()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await EnrolAsync(plane);
        using var identity = _store.Load();
        Assert.Equal(ScriptedControlPlane.HostId, identity.HostId);
        Assert.True(identity.Certificate.HasPrivateKey);
        Assert.Equal(plane.Address, _store.Server);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder.File("identity.json")));
        var request = Assert.Single(plane.Enrolments);
        Assert.Equal(Environment.MachineName, request.HostName);
        Assert.NotEmpty(request.AgentVersion);
    }

    [Fact]
    public async Task Another_control_plane_is_refused_before_it_sees_the_token()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        using var other = new TestAuthority();
        var refused = await Assert.ThrowsAsync<AgentException>(() => _enroller.EnrolAsync(plane.Address, ScriptedControlPlane.GoodToken, other.Fingerprint, default));
        Assert.Contains(plane.Authority.Fingerprint, refused.Message);
        Assert.Contains(other.Fingerprint, refused.Message);
        Assert.Empty(plane.Enrolments);
        Assert.False(_store.IsEnrolled);
    }

    [Fact]
    public async Task A_server_that_shows_the_right_CA_without_being_its_server_is_refused()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        using var real = new TestAuthority();
        plane.ShownAuthority = real.Certificate;   // it is public, so anybody can show it
        await Assert.ThrowsAsync<AgentException>(() => _enroller.EnrolAsync(plane.Address, ScriptedControlPlane.GoodToken, real.Fingerprint, default));
        Assert.Empty(plane.Enrolments);
    }

    [Fact]
    public async Task A_certificate_of_the_CA_for_another_name_is_no_control_planes()
    {
        await using var plane = await ScriptedControlPlane.StartAsync("agent.example");
        await Assert.ThrowsAsync<AgentException>(() => EnrolAsync(plane));
        Assert.Empty(plane.Enrolments);
    }

    [Fact]
    public async Task A_used_token_is_told_in_the_control_planes_words()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        var refused = await Assert.ThrowsAsync<AgentException>(() => _enroller.EnrolAsync(plane.Address, "used", plane.Authority.Fingerprint, default));
        Assert.Equal("The token was used already.", refused.Message);
        Assert.Contains("new token", refused.Remedy);
        Assert.False(_store.IsEnrolled);
    }

    [Fact]
    public async Task Nobody_there_is_told_with_the_address()
    {
        var plane = await ScriptedControlPlane.StartAsync();
        var (address, fingerprint) = (plane.Address, plane.Authority.Fingerprint);
        await plane.DisposeAsync();
        var failed = await Assert.ThrowsAsync<AgentException>(() => _enroller.EnrolAsync(address, "t", fingerprint, default));
        Assert.Contains(address.ToString(), failed.Message);
        Assert.Contains("7444", failed.Remedy);
    }

    [Fact]
    public void A_damaged_identity_is_told_with_the_file()
    {
        File.WriteAllText(_folder.File("identity.json"), "{ \"Server\": ");
        var failed = Assert.Throws<AgentException>(_store.Load);
        Assert.Contains("identity.json", failed.Message);
    }

    private Task EnrolAsync(ScriptedControlPlane plane) =>
        _enroller.EnrolAsync(plane.Address, ScriptedControlPlane.GoodToken, plane.Authority.Fingerprint.ToUpperInvariant().Replace("SHA256", "sha256"), default);
}
