using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Metrics;
using Exitless.ControlPlane.Tests.Fixtures;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Metrics;

public sealed class MetricsTests(TestHost host) : IClassFixture<TestHost>
{
    private const string Exits = "kvm.vcpu.0.exits";
    private const string Irq = "vfio.0000:01:10.0.msix.0";
    private const string Rss = "process.rss_bytes";

    [Fact]
    public async Task Stored_rows_are_acknowledged_after_they_are_there_and_answer_raw_and_by_rate()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "metrics");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var start = Start();
        await SendAsync(link, vm, 1, [Exits, Irq, Rss], (start, [100, 7, 5000]), (start + 10_000, [150, 7, 6000]), (start + 20_000, [250, 9, 5500]));
        Assert.Equal(start + 20_000, (await link.AckAsync(vm)).Through);
        var raw = await QueryAsync(vm, $"series={Irq},kvm.*&from={start / 1000}");
        Assert.Null(raw.StepSeconds);
        Assert.Equal([start, start + 10_000, start + 20_000], raw.Times);
        Assert.Equal([Exits, Irq], raw.Series.Select(s => s.Key));
        Assert.Equal([100m, 150m, 250m], raw.Series[0].Values);
        Assert.Equal([7m, 7m, 9m], raw.Series[1].Values);
        var rate = await QueryAsync(vm, $"series={Exits}&series={Rss}&step=10&from={start / 1000}&to={(start / 1000) + 30}");
        Assert.Equal([null, 5m, 10m], rate.Series.Single(s => s.Key == Exits).Values);
        Assert.Equal([5000m, 6000m, 5500m], rate.Series.Single(s => s.Key == Rss).Values);
        var later = await QueryAsync(vm, $"series={Exits}&step=10&from={(start / 1000) + 10}&to={(start / 1000) + 30}");
        Assert.Equal([5m, 10m], later.Series[0].Values);
        var coarse = await QueryAsync(vm, $"series={Exits}&step=20&from={(start / 1000) + 10}&to={(start / 1000) + 30}");
        Assert.Equal([7.5m], coarse.Series[0].Values);
        Assert.Equal(3, (await host.GetAsync<List<SeriesDto>>($"/api/v1/vms/{vm}/series")).Count);
    }

    [Fact]
    public async Task Rows_that_are_sent_again_are_stored_once()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "again");
        var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var start = Start();
        await SendAsync(link, vm, 1, [Exits], (start, [1]), (start + 10_000, [2]));
        await link.AckAsync(vm);
        await link.HangUpAsync();

        var (second, welcome, _) = await agent.AttachWelcomedAsync();
        Assert.Equal(start + 10_000, Assert.Single(welcome.Acknowledged, a => a.VmId == vm.ToString()).Through);
        await SendAsync(second, vm, 77, [Exits], (start + 10_000, [2]), (start + 20_000, [3]));
        Assert.Equal(start + 20_000, (await second.AckAsync(vm)).Through);
        var raw = await QueryAsync(vm, $"from={start / 1000}");
        Assert.Equal([1m, 2m, 3m], raw.Series[0].Values);
        second.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Rows_of_many_VMs_come_in_one_message_and_acknowledgements_go_in_one_to_who_takes_them(bool takes)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "many");
        using (await agent.ComeUpAsync())
        {
        }
        var (link, welcome, _) = await agent.AttachWelcomedAsync(h => h.TakesAcks = takes);
        Assert.True(welcome.TakesMany);
        var start = Start();
        var many = new RowsOfMany();
        for (var i = 0; i < 4; i++)
        {
            var vm = await VmAsync(agent);
            await link.SendAsync(new AgentMessage { Schema = new SampleSchema { VmId = vm.ToString(), SchemaId = 1, Series = { new Series { Key = Exits, Kind = Contracts.SeriesKind.Counter } } } });
            many.Rows.Add(new SampleRows { VmId = vm.ToString(), SchemaId = 1, Kind = RowKind.Stored, Rows = { new SampleRow { Time = start, Values = { i } }, new SampleRow { Time = start + 10_000, Values = { i + 1 } } } });
        }
        await link.SendAsync(new AgentMessage { Many = many });
        var acknowledged = new HashSet<string>(StringComparer.Ordinal);
        while (acknowledged.Count < 4)
        {
            var message = await link.NextAsync(m => m.Ack is not null || m.Acks is not null);
            Assert.True(takes || message.Acks is null);
            acknowledged.UnionWith((message.Acks?.Acks.ToList() ?? [message.Ack]).Where(a => a.Through == start + 10_000).Select(a => a.VmId));
        }
        Assert.Equal(many.Rows.Select(r => r.VmId).Order(StringComparer.Ordinal), acknowledged.Order(StringComparer.Ordinal));
        for (var i = 0; i < 4; i++)
            Assert.Equal([i, i + 1m], (await QueryAsync(Guid.Parse(many.Rows[i].VmId), $"from={start / 1000}")).Series[0].Values);
        link.Dispose();
    }

    [Fact]
    public async Task A_schema_that_changes_keeps_each_series_in_its_own_column()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "schema");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var start = Start();
        await SendAsync(link, vm, 1, [Exits], (start, [1]));
        await SendAsync(link, vm, 2, [Irq, Exits], (start + 10_000, [50, 2]));
        await link.NextAsync(m => m.Ack?.Through == start + 10_000);
        var raw = await QueryAsync(vm, $"from={start / 1000}");
        Assert.Equal([1m, 2m], raw.Series.Single(s => s.Key == Exits).Values);
        Assert.Equal([null, 50m], raw.Series.Single(s => s.Key == Irq).Values);
    }

    [Fact]
    public async Task A_counter_that_began_again_and_a_long_gap_give_no_absurd_rate()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "reset");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var start = Start() - 600_000;
        await SendAsync(link, vm, 1, [Exits], (start, [1000]), (start + 10_000, [30]), (start + 20_000, [50]), (start + 500_000, [60]));
        await link.AckAsync(vm);
        var rate = await QueryAsync(vm, $"step=10&from={start / 1000}&to={(start / 1000) + 600}");
        Assert.Equal([null, null, 2m, null], rate.Series[0].Values);
    }

    [Fact]
    public async Task Rows_out_of_time_or_shape_are_let_go_of_but_not_asked_for_again()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "strange");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var start = Start();
        await SendAsync(link, vm, 1, [Exits], (1, [1]), (start, [1, 2]), (start + 10_000, [5]), (start + (5L * 86_400_000), [6]));
        await link.AckAsync(vm);
        var raw = await QueryAsync(vm, "from=0");
        Assert.Equal([5m], raw.Series[0].Values);
    }

    [Fact]
    public async Task Rows_of_a_vm_of_another_host_are_not_stored()
    {
        await using var owner = await ScriptedAgent.EnrolAsync(host, "owner");
        using var mine = await owner.ComeUpAsync();
        var vm = await VmAsync(owner);
        await using var other = await ScriptedAgent.EnrolAsync(host, "forger");
        using var link = await other.ComeUpAsync();
        await SendAsync(link, vm, 1, [Exits], (Start(), [1]));
        await link.AckAsync(vm);
        Assert.Empty(await host.GetAsync<List<SeriesDto>>($"/api/v1/vms/{vm}/series"));
    }

    [Fact]
    public async Task Rows_without_a_schema_end_the_link_with_words()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "noschema");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        await link.SendAsync(new AgentMessage { Rows = new SampleRows { VmId = vm.ToString(), SchemaId = 9, Kind = RowKind.Stored, Rows = { new SampleRow { Time = 1, Values = { 1 } } } } });
        var end = await link.EndAsync();
        Assert.Equal(StatusCode.InvalidArgument, end.StatusCode);
        Assert.Contains("schema 9", end.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Prometheus_reads_the_newest_row_of_each_VM_and_nobody_without_a_token()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "scraped");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var now = host.Clock.GetUtcNow().ToUnixTimeMilliseconds();
        string[] series = [Exits, "kvm.vcpu.1.exits", Irq, Rss, "process.cpu_guest_ns", "grade.0000:01:10.0.msix.0", "guest.0000:01:10.0.msix.0", "guest.age_ms", "grade.exits_per_1000_interrupts", "grade.marginal_exits_per_1000_interrupts"];
        await SendAsync(link, vm, 1, series, (now - 20_000, [1, 1, 1, 1, 1, 0, 0, -1, -1, -1]), (now - 10_000, [100, 20, 7, 5000, 1_500_000_000, 2, 9, 400, 2250, -1]));
        await link.AckAsync(vm);
        var page = await host.Http.GetStringAsync("/metrics");
        var lines = page.Split('\n').Where(line => line.Contains($"vm_id=\"{vm:D}\"", StringComparison.Ordinal)).ToList();
        string Of(string family) => Assert.Single(lines, line => line.StartsWith(family + "{", StringComparison.Ordinal));
        Assert.EndsWith("} 120", Of("exitless_vm_exits_total"), StringComparison.Ordinal);
        Assert.EndsWith(",device=\"0000:01:10.0\",vector=\"0\"} 7", Of("exitless_vm_device_interrupts_total"), StringComparison.Ordinal);
        Assert.EndsWith(",device=\"0000:01:10.0\",vector=\"0\"} 9", Of("exitless_vm_guest_device_interrupts_total"), StringComparison.Ordinal);
        Assert.EndsWith(",vector=\"0\",grade=\"woken\"} 1", Of("exitless_vm_interrupt_grade"), StringComparison.Ordinal);
        Assert.EndsWith("} 2.25", Of("exitless_vm_exits_per_interrupt"), StringComparison.Ordinal);
        Assert.EndsWith(",mode=\"guest\"} 1.5", Of("exitless_vm_cpu_seconds_total"), StringComparison.Ordinal);
        Assert.DoesNotContain(lines, line => line.StartsWith("exitless_vm_marginal", StringComparison.Ordinal));
        await SendAsync(link, vm, 1, series, (now, [110, 21, 8, 5000, 1_500_000_000, 1, 9, 3000, 2250, 1960]));
        await link.AckAsync(vm);
        var later = (await host.Http.GetStringAsync("/metrics")).Split('\n');
        // A report that has grown old is no sample of the guest's.
        Assert.DoesNotContain(later, line => line.StartsWith("exitless_vm_guest_device_interrupts_total{", StringComparison.Ordinal) && line.Contains($"vm_id=\"{vm:D}\"", StringComparison.Ordinal));
        Assert.Contains(later, line =>
            line.StartsWith("exitless_vm_marginal_exits_per_interrupt{", StringComparison.Ordinal) && line.Contains($"vm_id=\"{vm:D}\"", StringComparison.Ordinal) && line.EndsWith("} 1.96", StringComparison.Ordinal));
        Assert.Contains("exitless_host_connected{host=\"scraped\"} 1\n", page, StringComparison.Ordinal);
        Assert.Equal(page.Split('\n').Count(line => line.StartsWith("# TYPE", StringComparison.Ordinal)), page.Split('\n').Where(line => line.StartsWith("# TYPE", StringComparison.Ordinal)).Distinct().Count());
        using var stranger = host.Client(null);
        Assert.Equal(System.Net.HttpStatusCode.Unauthorized, (await stranger.GetAsync(new Uri("/metrics", UriKind.Relative))).StatusCode);
    }

    [Theory]
    [InlineData("from=tomorrow", "from")]
    [InlineData("to=yesterday", "to")]
    [InlineData("step=0", "step")]
    [InlineData("step=1&from=0", "step")]
    [InlineData("from=2000000000&to=1000000000", "from")]
    public async Task Impossible_questions_are_refused(string query, string field)
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "questions");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        var problem = await host.RefusedAsync(HttpMethod.Get, $"/api/v1/vms/{vm}/metrics?{query}", null, 400, "metrics-query-invalid");
        Assert.True(problem.GetProperty("errors").TryGetProperty(field, out _), $"{problem}");
    }

    [Fact]
    public async Task A_series_that_does_not_exist_is_named()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "unknown");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        Assert.Empty((await QueryAsync(vm, "series=anything")).Series);
        await SendAsync(link, vm, 1, [Exits], (Start(), [1]));
        await link.AckAsync(vm);
        var problem = await host.RefusedAsync(HttpMethod.Get, $"/api/v1/vms/{vm}/metrics?series={Exits},kvm.vm.nothing", null, 400, "series-unknown");
        Assert.Contains("kvm.vm.nothing", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Days_that_nobody_keeps_are_dropped()
    {
        var partitions = host.Services.GetRequiredService<MetricPartitions>();
        await partitions.EnsureAsync(new DateOnly(2020, 1, 1), CancellationToken.None);
        await host.Services.GetRequiredService<Retention>().RunAsync(CancellationToken.None);
        Assert.Equal(0, await partitions.DropBeforeAsync(new DateOnly(2020, 6, 1), CancellationToken.None));
    }

    private long Start() => (host.Clock.GetUtcNow().ToUnixTimeMilliseconds() / 10_000 * 10_000) - 60_000;

    private async Task<Guid> VmAsync(ScriptedAgent agent) => (await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false))).VmId!.Value;

    private Task<MetricsDto> QueryAsync(Guid vm, string query) => host.GetAsync<MetricsDto>($"/api/v1/vms/{vm}/metrics?{query}");

    private static async Task SendAsync(ScriptedLink link, Guid vm, ulong schema, string[] series, params (long Time, long[] Values)[] rows)
    {
        var announced = new SampleSchema { VmId = vm.ToString(), SchemaId = schema };
        announced.Series.AddRange(series.Select(s => new Series { Key = s, Unit = "1", Kind = s == Rss ? Contracts.SeriesKind.Gauge : Contracts.SeriesKind.Counter }));
        await link.SendAsync(new AgentMessage { Schema = announced });
        var batch = new SampleRows { VmId = vm.ToString(), SchemaId = schema, Kind = RowKind.Stored };
        batch.Rows.AddRange(rows.Select(r => new SampleRow { Time = r.Time, Values = { r.Values } }));
        await link.SendAsync(new AgentMessage { Rows = batch });
    }
}
