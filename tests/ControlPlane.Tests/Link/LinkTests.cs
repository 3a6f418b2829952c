using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Grpc.Core;

namespace Exitless.ControlPlane.Tests.Link;

public sealed class LinkTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task Inventory_shows_in_rest()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "inventory");
        using var link = await agent.ComeUpAsync();
        var seen = await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}");
        Assert.True(seen.Connected);
        Assert.Equal("6.12.0-test", seen.Facts!.Kernel);
        Assert.Equal(["debian.vmlinuz", "demo.initrd"], seen.Facts.Images.Select(i => i.Name));
        Assert.Equal((2, 2), (seen.VfCount, seen.FreeVfCount));
        var devices = await host.GetAsync<List<DeviceDto>>($"/api/v1/hosts/{agent.Id}/devices");
        Assert.Equal([Inventories.Plain0, Inventories.Pf, Inventories.Vf0, Inventories.Vf1], devices.Select(d => d.Address));
        Assert.Equal([DeviceKind.Plain, DeviceKind.Pf, DeviceKind.Vf, DeviceKind.Vf], devices.Select(d => d.Kind));
        Assert.Equal("8086", devices[1].VendorId);
        Assert.Equal(Inventories.Pf, devices[2].PfAddress);
        Assert.Equal([false, false, true, true], devices.Select(d => d.Assignable));
        Assert.Equal("carries the root disk /dev/sda1", devices[0].InUse);
    }

    [Fact]
    public async Task Devices_that_are_gone_go()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "gone");
        using var link = await agent.ComeUpAsync();
        var less = Inventories.Plain();
        less.Devices.RemoveAt(3);
        await link.SendAsync(new AgentMessage { Inventory = less });
        await host.UntilAsync("the VF is gone", async () => (await host.GetAsync<List<DeviceDto>>($"/api/v1/devices?hostId={agent.Id}")).Count == 3);
    }

    [Fact]
    public async Task Without_a_certificate_the_link_is_refused_with_words()
    {
        using var channel = ScriptedAgent.Channel(host, null);
        using var call = new AgentLink.AgentLinkClient(channel).Attach();
        var refused = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("Enrol this host", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_of_another_authority_is_refused_with_words()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var foreign = new CertificateRequest($"CN={Guid.CreateVersion7()}", key, HashAlgorithmName.SHA256).CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        using var channel = ScriptedAgent.Channel(host, foreign);
        using var call = new AgentLink.AgentLinkClient(channel).Attach();
        var refused = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("not issued by this control plane", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_of_another_host_is_refused_with_words()
    {
        await using var one = await ScriptedAgent.EnrolAsync(host, "one");
        await using var other = await ScriptedAgent.EnrolAsync(host, "other");
        using var link = await one.AttachAsync(h => h.HostId = other.Id.ToString());
        var end = await link.EndAsync();
        Assert.Equal(StatusCode.PermissionDenied, end.StatusCode);
        Assert.Contains(other.Id.ToString(), end.Detail, StringComparison.Ordinal);
        Assert.Contains(one.Id.ToString(), end.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Another_protocol_is_refused_with_words()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "future");
        using var link = await agent.AttachAsync(h => h.Protocol = 2);
        var end = await link.EndAsync();
        Assert.Equal(StatusCode.FailedPrecondition, end.StatusCode);
        Assert.Contains("speaks protocol 2", end.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Revocation_closes_the_link_and_keeps_it_closed()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "revoked");
        using var link = await agent.ComeUpAsync();
        using (var answer = await host.PostAsync($"/api/v1/hosts/{agent.Id}/actions/revoke", null))
            Assert.True(answer.IsSuccessStatusCode);
        var end = await link.EndAsync();
        Assert.Equal(StatusCode.Unauthenticated, end.StatusCode);
        using var again = await agent.AttachAsync();
        var refused = await again.EndAsync();
        Assert.Equal(StatusCode.Unauthenticated, refused.StatusCode);
        Assert.Contains("revoked at", refused.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_renewed_certificate_opens_the_link()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "renewing");
        var before = agent.Certificate.SerialNumber;
        await agent.RenewAsync();
        Assert.NotEqual(before, agent.Certificate.SerialNumber);
        var (link, _, _) = await agent.AttachWelcomedAsync();
        link.Dispose();
    }

    [Fact]
    public async Task A_newer_link_of_the_same_host_takes_over()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "twice");
        using var channel = ScriptedAgent.Channel(host, agent.Certificate);
        using var first = new AgentLink.AgentLinkClient(channel).Attach();
        await first.RequestStream.WriteAsync(new AgentMessage { Hello = new Hello { Protocol = 1, HostId = agent.Id.ToString(), HostName = "twice" } }, TestContext.Current.CancellationToken);
        Assert.True(await first.ResponseStream.MoveNext(CancellationToken.None));
        var (second, _, _) = await agent.AttachWelcomedAsync();
        var ended = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await first.ResponseStream.MoveNext(CancellationToken.None))
            {
                // Its welcome and wanted state.
            }
        });
        Assert.Equal(StatusCode.Aborted, ended.StatusCode);
        Assert.True((await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}")).Connected);
        second.Dispose();
    }

    [Fact]
    public async Task An_agent_that_was_told_more_than_the_database_knows_is_asked_for_it()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "ahead");
        using var link = await agent.AttachAsync(h => h.WantedGeneration = 1000);
        Assert.True((await link.NextAsync(m => m.Welcome is not null)).Welcome.SendStored);
        await link.SendAsync(new AgentMessage { Stored = new WantedState { Generation = 1000 } });
        Assert.Equal(1000ul, (await link.WantedAsync(_ => true)).Generation);
    }

    [Fact]
    public async Task An_agent_that_cannot_hand_it_over_is_told_to_be_replaced()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "old");
        using var link = await agent.AttachAsync(h => h.WantedGeneration = 1000);
        await link.SendAsync(new AgentMessage { Observed = new ObservedState { Generation = 1000 } });
        var end = await link.EndAsync();
        Assert.Equal(StatusCode.FailedPrecondition, end.StatusCode);
        Assert.Contains("generation 1000", end.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_people_port_does_not_answer_agents_nor_the_agents_port_people()
    {
        using var people = new HttpRequestMessage(HttpMethod.Post, "/exitless.agent.v1.Enrolment/Authority");
        using var answer = await host.Http.SendAsync(people, TestContext.Current.CancellationToken);
        Assert.Equal(404, (int)answer.StatusCode);
        using var client = new HttpClient(host.AgentHandler()) { BaseAddress = host.AgentAddress, DefaultRequestVersion = new Version(2, 0), DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var page = await client.GetAsync(new Uri("/health/live", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(404, (int)page.StatusCode);
    }

    [Fact]
    public async Task Events_of_the_agent_are_listed()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "talkative");
        using var link = await agent.ComeUpAsync();
        await link.SendAsync(new AgentMessage { Event = new AgentEvent { Time = 1_700_000_000_000, Kind = "vf-created", Device = Inventories.Vf0, Message = "made\0 a VF", Severity = "warning" } });
        await host.UntilAsync("the event is listed", async () => (await host.GetAsync<List<EventDto>>($"/api/v1/events?hostId={agent.Id}")).Any(e => e is { Kind: "vf-created", Severity: EventSeverity.Warning, Device: Inventories.Vf0 }));
    }
}
