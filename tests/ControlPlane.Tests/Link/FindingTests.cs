using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Link;

public sealed class FindingTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task What_the_doctor_found_is_served_for_the_host_and_for_the_fleet()
    {
        await using var first = await ScriptedAgent.EnrolAsync(host, "a");
        await using var second = await ScriptedAgent.EnrolAsync(host, "b");
        using var firstLink = await first.ComeUpAsync();
        using var secondLink = await second.ComeUpAsync();
        await firstLink.SendAsync(Report(Found("kvm", "ok"), Found("iommu-posting", "warning", "dmar0", "Firmware: turn off the integrated graphics.", needsReboot: true)));
        await secondLink.SendAsync(Report(Found("iommu", "blocker"), Found("hugepages", "info")));
        await host.UntilAsync("both reports are there", async () => (await OfAsync($"/api/v1/findings?hostId={first.Id}")).Count + (await OfAsync($"/api/v1/findings?hostId={second.Id}")).Count == 4);

        var ofFirst = await OfAsync($"/api/v1/hosts/{first.Id}/findings");
        Assert.Equal(["iommu-posting", "kvm"], ofFirst.Select(f => f.Id));
        Assert.Equal(
            (first.Id, "a", "dmar0", FindingSeverity.Warning, "What iommu-posting found", "Firmware: turn off the integrated graphics.", true, new EvidenceDto("/sys/iommu-posting", "as read")),
            (ofFirst[0].HostId, ofFirst[0].HostName, ofFirst[0].Subject, ofFirst[0].Severity, ofFirst[0].Title, ofFirst[0].Remedy, ofFirst[0].NeedsReboot, ofFirst[0].Evidence.Single()));
        Assert.Equal((null, null, false), (ofFirst[1].Subject, ofFirst[1].Remedy, ofFirst[1].NeedsReboot));
        Assert.Equal([("b", "iommu"), ("a", "iommu-posting")], (await OfAsync("/api/v1/findings?atLeast=warning")).Where(f => f.HostName is "a" or "b").Select(f => (f.HostName, f.Id)));

        // A report is whole: what is not in the next one is gone.
        await firstLink.SendAsync(Report(Found("kvm", "ok")));
        await host.UntilAsync("the trouble is gone", async () => (await OfAsync($"/api/v1/hosts/{first.Id}/findings")) is [{ Id: "kvm" }]);
    }

    [Fact]
    public async Task Strange_words_of_an_agent_become_plain_ones()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "strange");
        using var link = await agent.ComeUpAsync();
        Assert.Empty(await OfAsync($"/api/v1/hosts/{agent.Id}/findings"));
        await link.SendAsync(Report(Found("x\0y", "catastrophe")));
        await host.UntilAsync("the report is there", async () => (await OfAsync($"/api/v1/hosts/{agent.Id}/findings")).Count == 1);
        var finding = (await OfAsync($"/api/v1/hosts/{agent.Id}/findings"))[0];
        Assert.Equal(("x\ufffdy", FindingSeverity.Warning), (finding.Id, finding.Severity));
    }

    [Fact]
    public async Task An_unknown_host_and_an_unknown_severity_are_refused()
    {
        await host.RefusedAsync(HttpMethod.Get, $"/api/v1/hosts/{Guid.CreateVersion7()}/findings", null, 404, "host-not-found");
        await host.RefusedAsync(HttpMethod.Get, "/api/v1/findings?atLeast=dreadful", null, 400, "severity-unknown");
    }

    private Task<IReadOnlyList<FindingDto>> OfAsync(string path) => host.GetAsync<IReadOnlyList<FindingDto>>(path);

    private static AgentMessage Report(params Finding[] findings)
    {
        var report = new DoctorReport();
        report.Findings.AddRange(findings);
        return new AgentMessage { Report = report };
    }

    private static Finding Found(string id, string severity, string subject = "", string remedy = "", bool needsReboot = false)
    {
        var finding = new Finding { Id = id, Subject = subject, Severity = severity, Title = $"What {id} found", Remedy = remedy, NeedsReboot = needsReboot };
        finding.Evidence.Add(new Evidence { Path = $"/sys/{id}", Value = "as read" });
        return finding;
    }
}
