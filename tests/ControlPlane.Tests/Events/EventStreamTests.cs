using System.Globalization;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Events;

/// <summary>The stream of events: at once, in order, and without a gap for whoever comes back.</summary>
public sealed class EventStreamTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task Whoever_comes_back_with_the_last_id_misses_nothing_whatever_happens_at_once()
    {
        await using var replica = await host.ReplicaAsync();
        const int Events = 200;
        var from = await NewestAsync();
        // Two replicas write at once while a reader is cut off after every few events.
        var writing = Task.WhenAll(new[] { host, replica }.SelectMany(h => Enumerable.Range(0, 4).Select(w => Task.Run(async () =>
        {
            var projects = h.Services.GetRequiredService<IProjects>();
            for (var i = 0; i < Events / 8; i++)
                await projects.CreateAsync(new ProjectRequest(Requests.Name("streamed")), TestHost.By, CancellationToken.None);
        }))));
        var seen = new List<long>();
        var last = from;
        using var limit = new CancellationTokenSource(TestHost.Limit);
        while (seen.Count < Events)
        {
            foreach (var (id, _) in await ReadAsync($"/api/v1/events/stream?most={Math.Min(1 + (seen.Count % 7), Events - seen.Count)}&kind=project-created", last, limit.Token))
            {
                seen.Add(id);
                last = id;
            }
        }
        await writing;
        await using var db = host.Database();
        var all = await db.Events.Where(e => e.Place > from && e.Kind == "project-created").OrderBy(e => e.Place).Select(e => e.Place).ToListAsync(TestContext.Current.CancellationToken);
        Assert.Equal(Events, all.Count);
        Assert.Equal(all, seen);
    }

    [Fact]
    public async Task A_stream_shows_what_is_in_the_callers_projects_and_ends_with_the_role()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "streaming");
        using var link = await agent.ComeUpAsync();
        var mine = (await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("mine")), TestHost.By, CancellationToken.None)).Id;
        var token = await host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(Requests.Name("watcher"), null, Role.Viewer, mine), TestHost.By, CancellationToken.None);
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false));
        var create = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false) with { ProjectId = mine });
        using var client = host.Client(token.Token);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/events/stream?after=0");
        using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType?.MediaType);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        Assert.StartsWith("id: ", await reader.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal("event: vm-created", await reader.ReadLineAsync(TestContext.Current.CancellationToken));
        Assert.Contains(create.VmId!.Value.ToString(), await reader.ReadLineAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        await using (var db = host.Database())
            await db.Grants.Where(g => g.SubjectId == token.Id).ExecuteDeleteAsync(TestContext.Current.CancellationToken);
        using var limit = new CancellationTokenSource(TestHost.Limit);
        while (await reader.ReadLineAsync(limit.Token) is not null)
        {
            // Until the control plane ends it.
        }
    }

    [Theory]
    [InlineData("x", "Last-Event-ID")]
    [InlineData("-1", "Last-Event-ID")]
    public async Task A_last_id_that_is_none_is_refused_by_name(string id, string named)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/events/stream");
        request.Headers.TryAddWithoutValidation("Last-Event-ID", id);
        using var answer = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(400, (int)answer.StatusCode);
        Assert.Contains(named, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_control_plane_measures_itself()
    {
        await host.GetAsync("/api/v1/vms");
        await host.RefusedAsync(HttpMethod.Get, "/api/v1/vms?limit=0", null, 400, "limit-invalid");
        await using var agent = await ScriptedAgent.EnrolAsync(host, "owing");
        using (var link = await agent.ComeUpAsync())
            await link.HangUpAsync();
        await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false));
        host.Clock.Advance(TimeSpan.FromSeconds(90));
        var page = await host.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Matches("exitless_api_request_seconds_count\\{operation=\"ListVms\",status=\"200\"\\} [1-9]", page);
        Assert.Matches("exitless_api_request_seconds_count\\{operation=\"ListVms\",status=\"400\"\\} [1-9]", page);
        Assert.Contains("exitless_ingest_lag_seconds_count", page, StringComparison.Ordinal);
        var age = page.Split('\n').Single(l => l.StartsWith("exitless_reconcile_age_seconds{host=\"owing\"}", StringComparison.Ordinal)).Split(' ')[1];
        Assert.InRange(double.Parse(age, CultureInfo.InvariantCulture), 90, 150);
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/readyz")]
    public async Task Clusters_are_answered_without_a_login(string path)
    {
        using var nobody = host.Client(null);
        using var answer = await nobody.GetAsync(new Uri(path, UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.Equal(200, (int)answer.StatusCode);
    }

    private async Task<long> NewestAsync()
    {
        await using var db = host.Database();
        return await db.Events.MaxAsync(e => (long?)e.Place) ?? 0;
    }

    private async Task<List<(long Id, string Kind)>> ReadAsync(string path, long last, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.TryAddWithoutValidation("Last-Event-ID", last.ToString(CultureInfo.InvariantCulture));
        using var answer = await host.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        var text = await answer.Content.ReadAsStringAsync(ct);
        return [.. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Where(b => b.StartsWith("id: ", StringComparison.Ordinal)).Select(b => b.Split('\n')).Select(l => (long.Parse(l[0][4..], CultureInfo.InvariantCulture), l[1][7..]))];
    }
}
