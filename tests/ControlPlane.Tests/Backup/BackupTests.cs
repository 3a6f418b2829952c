using System.Formats.Tar;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Grpc.Core;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Backup;

/// <summary>A fleet that goes on after its backup was taken, and is then restored from it.</summary>
public sealed class BackupTests(TestHost host) : IClassFixture<TestHost>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Archive => Path.Combine(_folder.Path, "fleet.tar");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_hosts_were_told_since_the_backup_is_taken_over_from_them()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "survivor");
        var link = await agent.ComeUpAsync();
        var old = await CreateAsync(agent, link, Inventories.Vf0);
        Assert.Equal(0, await host.CommandAsync("backup", "--to", Archive));

        var made = await CreateAsync(agent, link, Inventories.Vf1);
        await host.ChangeAsync($"/api/v1/vms/{old.Id}/actions/force-off");
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Any(v => v.Run == WantedRun.Off)), VmState.Stopped);
        await host.UntilAsync("it is off", async () => (await host.GetAsync<VmDto>($"/api/v1/vms/{old.Id}")).State == Api.VmState.Stopped);
        using (var deleted = await host.Http.DeleteAsync(new Uri($"/api/v1/vms/{old.Id}", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(202, (int)deleted.StatusCode);
        var told = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(told, VmState.Running);
        await host.UntilAsync("it is gone", async () => (await VmsAsync(agent)).Count == 1);
        link.Dispose();

        await host.RestartAsync(async () => Assert.Equal(0, await host.CommandAsync("restore", "--from", Archive, "--replace")));
        Assert.Equal([old.Id], (await VmsAsync(agent)).Select(v => v.Id));
        await host.RefusedAsync(HttpMethod.Post, $"/api/v1/vms/{old.Id}/actions/start", null, 409, "host-recovering");
        await host.RefusedAsync(HttpMethod.Post, "/api/v1/vms", Requests.Vm(agent.Id, Inventories.Vf1), 409, "host-recovering");

        using var again = await agent.AttachAsync(h => h.WantedGeneration = told.Generation);
        Assert.True((await again.NextAsync(m => m.Welcome is not null)).Welcome.SendStored);
        await again.SendAsync(new AgentMessage { Stored = told });
        var wanted = await again.WantedAsync(_ => true);
        Assert.Equal(told, wanted);
        await again.ReportAsync(wanted, VmState.Running);
        await host.UntilAsync("it runs", async () => await VmsAsync(agent) is [{ State: Api.VmState.Running }]);
        var after = Assert.Single(await VmsAsync(agent));
        Assert.Equal((made.Id, made.Name, made.CreatedAt.ToUnixTimeMilliseconds()), (after.Id, after.Name, after.CreatedAt.ToUnixTimeMilliseconds()));
        Assert.Equal(Inventories.Vf1, Assert.Single(after.Devices).Address);
        var story = await host.GetAsync<List<EventDto>>($"/api/v1/events?hostId={agent.Id}");
        Assert.Contains(story, e => e.Kind == "host-recovered" && e.Message.Contains($"1 new ({made.Name}), 1 gone ({old.Name})", StringComparison.Ordinal));
        // And it can be asked again.
        await host.ChangeAsync($"/api/v1/vms/{made.Id}/actions/stop");
    }

    [Fact]
    public async Task A_certificate_renewed_since_the_backup_lets_its_host_in_and_another_does_not()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "renewed-since");
        (await agent.ComeUpAsync()).Dispose();
        Assert.Equal(0, await host.CommandAsync("backup", "--to", Archive, "--without-metrics"));
        await agent.RenewAsync();
        await using var later = await ScriptedAgent.EnrolAsync(host, "enrolled-since");
        await host.RestartAsync(async () => Assert.Equal(0, await host.CommandAsync("restore", "--from", Archive, "--replace")));

        using var link = await agent.AttachAsync();
        await link.SendAsync(new AgentMessage { Stored = new WantedState() });
        await link.WantedAsync(_ => true);
        using var refused = await later.AttachAsync();
        var end = await refused.EndAsync();
        Assert.Equal(StatusCode.Unauthenticated, end.StatusCode);
        Assert.Contains("does not know this certificate", end.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_operation_that_was_under_way_ends_with_the_truth()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "under-way");
        (await agent.ComeUpAsync()).Dispose();
        var operation = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id));
        Assert.Equal(0, await host.CommandAsync("backup", "--to", Archive));
        await host.RestartAsync(async () => Assert.Equal(0, await host.CommandAsync("restore", "--from", Archive, "--replace")));
        var end = await host.GetAsync<OperationDto>($"/api/v1/operations/{operation.Id}");
        Assert.Equal((OperationState.Failed, "database-restored"), (end.State, end.Problem?.Code));
    }

    [Fact]
    public async Task Nothing_is_replaced_unasked_or_by_half_or_under_a_running_control_plane()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "kept");
        (await agent.ComeUpAsync()).Dispose();
        Assert.Equal(0, await host.CommandAsync("backup", "--to", Archive));
        await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}");
        Assert.Equal(1, await host.CommandAsync("restore", "--from", Archive, "--replace"));
        var half = Path.Combine(_folder.Path, "half.tar");
        await CopyAsync(Archive, half, dump => dump.AsSpan(0, dump.Length / 2).ToArray());
        var foreign = Path.Combine(_folder.Path, "foreign.tar");
        await File.WriteAllBytesAsync(foreign, new byte[2048], TestContext.Current.CancellationToken);
        await host.RestartAsync(async () =>
        {
            Assert.Equal(1, await host.CommandAsync("restore", "--from", Archive));
            Assert.Equal(1, await host.CommandAsync("restore", "--from", half, "--replace"));
            Assert.Equal(1, await host.CommandAsync("restore", "--from", foreign, "--replace"));
            Assert.Equal(1, await host.CommandAsync("restore", "--from", foreign + ".not", "--replace"));
        });
        Assert.False((await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}")).Connected);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Archive));
    }

    private static async Task CopyAsync(string from, string to, Func<byte[], byte[]> dump)
    {
        await using var source = File.OpenRead(from);
        await using var reader = new TarReader(source);
        await using var target = File.Create(to);
        await using var writer = new TarWriter(target, TarEntryFormat.Pax);
        while (await reader.GetNextEntryAsync(copyData: true) is { } entry)
        {
            using var data = new MemoryStream();
            await entry.DataStream!.CopyToAsync(data);
            var content = entry.Name == "database.dump" ? dump(data.ToArray()) : data.ToArray();
            using var changed = new MemoryStream(content);
            await writer.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, entry.Name) { DataStream = changed });
        }
    }

    private async Task<VmDto> CreateAsync(ScriptedAgent agent, ScriptedLink link, string vf)
    {
        var operation = await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id) with { Devices = [new VmDeviceRequest(vf, null)] });
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Any(v => v.VmId == operation.VmId?.ToString("D"))), VmState.Running);
        await host.EndOfAsync(operation);
        return await host.GetAsync<VmDto>($"/api/v1/vms/{operation.VmId}");
    }

    private Task<List<VmDto>> VmsAsync(ScriptedAgent agent) => host.GetAsync<List<VmDto>>($"/api/v1/vms?hostId={agent.Id}");
}
