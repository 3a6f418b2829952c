using Exitless.Agent.Tests.Peer;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Link;

public sealed class ControlLinkTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_stream_begins_with_hello_and_goes_on_with_the_whole_state()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using var agent = new RunningAgent(_folder.Path, plane);
        var stream = await plane.NextStreamAsync();
        var hello = await stream.WelcomeAsync();
        Assert.Equal(1u, hello.Protocol);
        Assert.Equal(ScriptedControlPlane.HostId, hello.HostId);
        Assert.Equal(File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim(), hello.BootId);
        Assert.Equal(0ul, hello.WantedGeneration);
        var inventory = await stream.NextAsync(m => m.Inventory);
        Assert.Equal(Environment.ProcessorCount, inventory.OnlineCpus.Count);
        Assert.NotEmpty(inventory.Capabilities);
    }

    [Fact]
    public async Task After_a_lost_stream_the_agent_comes_back_and_tells_all_again()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using var agent = new RunningAgent(_folder.Path, plane);
        var first = await plane.NextStreamAsync();
        await first.WelcomeAsync();
        await first.NextAsync(m => m.Inventory);
        first.Close();
        var second = await plane.NextStreamAsync();
        await second.WelcomeAsync();
        await second.NextAsync(m => m.Inventory);
    }

    [Fact]
    public async Task A_restarted_control_plane_is_found_again()
    {
        using var authority = new TestAuthority();
        var plane = await ScriptedControlPlane.StartAsync(authority: authority);
        await using var agent = new RunningAgent(_folder.Path, plane);
        await (await plane.NextStreamAsync()).WelcomeAsync();
        var port = plane.Address.Port;
        await plane.DisposeAsync();
        await using var again = await ScriptedControlPlane.StartAsync(port: port, authority: authority);
        await (await again.NextStreamAsync()).WelcomeAsync();
    }

    [Fact]
    public async Task A_quiet_stream_carries_heartbeats()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using var agent = new RunningAgent(_folder.Path, plane);
        var stream = await plane.NextStreamAsync();
        await stream.WelcomeAsync();
        Assert.True((await stream.NextAsync(m => m.Heartbeat)).Time > 0);
    }

    [Fact]
    public async Task A_certificate_past_two_thirds_of_its_life_is_renewed_and_used()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        plane.Life = (TestAuthority.Start, TestAuthority.Start.AddDays(12));   // 10 of 12 days are over
        await using var agent = new RunningAgent(_folder.Path, plane);
        var first = await plane.NextStreamAsync();
        await first.WelcomeAsync();
        var second = await plane.NextStreamAsync();
        await second.WelcomeAsync();
        Assert.NotEqual(first.CertificateSerial, second.CertificateSerial);
    }

    [Fact]
    public async Task A_wanted_state_is_on_disk_before_it_is_answered_and_an_older_one_changes_nothing()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using (var agent = new RunningAgent(_folder.Path, plane))
        {
            var stream = await plane.NextStreamAsync();
            await stream.WelcomeAsync();
            await stream.SendAsync(Wanted(7));
            await stream.NextAsync(m => m.Observed is { Generation: 7 } o ? o : null);
            Assert.Equal(7ul, Stored().Generation);
            await stream.SendAsync(Wanted(6));
            await stream.SendAsync(Wanted(8));
            await stream.NextAsync(m => m.Observed is { Generation: 8 } o ? o : null);
        }
        Assert.Equal(8ul, Stored().Generation);
        await using var restarted = new RunningAgent(_folder.Path, plane);
        var hello = await (await plane.NextStreamAsync()).WelcomeAsync();
        Assert.Equal(8ul, hello.WantedGeneration);
    }

    [Fact]
    public async Task A_control_plane_with_an_older_database_is_handed_the_wanted_state_before_all_else()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using var agent = new RunningAgent(_folder.Path, plane);
        var first = await plane.NextStreamAsync();
        await first.WelcomeAsync();
        var wanted = Wanted(7);
        wanted.Wanted.Pfs.Add(new WantedPf { Address = "0000:ff:00.0", Generation = 7, NumVfs = 2 });
        await first.SendAsync(wanted);
        await first.NextAsync(m => m.Observed is { Generation: 7 } o ? o : null);
        first.Close();
        var second = await plane.NextStreamAsync();
        await second.WelcomeAsync(sendStored: true);
        Assert.Equal(wanted.Wanted, (await second.NextAsync()).Stored);
    }

    [Fact]
    public async Task An_agent_that_was_never_told_anything_hands_over_generation_0()
    {
        await using var plane = await ScriptedControlPlane.StartAsync();
        await using var agent = new RunningAgent(_folder.Path, plane);
        var stream = await plane.NextStreamAsync();
        await stream.WelcomeAsync(sendStored: true);
        Assert.Equal(new WantedState(), (await stream.NextAsync()).Stored);
    }

    [Fact]
    public async Task An_agent_that_is_not_enrolled_says_how_to()
    {
        await using var agent = new RunningAgent(_folder.Path, null);
        var failed = await Assert.ThrowsAsync<AgentException>(() => agent.Ended.Within());
        Assert.Contains("exitless-agent enrol", failed.Remedy);
    }

    [Fact]
    public async Task A_damaged_wanted_state_is_told_with_the_file()
    {
        Directory.CreateDirectory(_folder.File("state"));
        await File.WriteAllBytesAsync(_folder.File("state/wanted.bin"), [0xff, 0xff, 0xff]);
        await using var agent = new RunningAgent(_folder.Path, null);
        var failed = await Assert.ThrowsAsync<AgentException>(() => agent.Ended.Within());
        Assert.Contains("wanted.bin", failed.Message);
    }

    private static ControlMessage Wanted(ulong generation) => new() { Wanted = new WantedState { Generation = generation } };

    private WantedState Stored() => WantedState.Parser.ParseFrom(File.ReadAllBytes(_folder.File("state/wanted.bin")));
}
