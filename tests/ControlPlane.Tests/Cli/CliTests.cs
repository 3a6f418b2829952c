using System.Text.Json.Nodes;
using Exitless.Cli.Api;
using Exitless.Cli.Commands;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.DependencyInjection;
using VmState = Exitless.Contracts.VmState;

namespace Exitless.ControlPlane.Tests.Cli;

/// <summary>The <c>exitless</c> command against a real control plane, over TLS with its CA.</summary>
public sealed class CliTests : IClassFixture<TestHost>, IDisposable
{
    private readonly TestHost _host;
    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, string> _environment;

    public CliTests(TestHost host)
    {
        _host = host;
        var authority = Path.Combine(_folder.Path, "authority.pem");
        File.WriteAllText(authority, host.Authority.Certificate.ExportCertificatePem());
        _environment = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["EXITLESS_SERVER"] = host.Address.ToString(),
            ["EXITLESS_TOKEN"] = host.Token,
            ["EXITLESS_AUTHORITY"] = authority,
            ["XDG_CONFIG_HOME"] = _folder.Path,
        };
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_vm_is_made_listed_started_awaited_and_deleted()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(_host, Requests.Name("cli-host"));
        using var link = await agent.ComeUpAsync();
        var name = Requests.Name("cli");
        var creation = RunAsync("create", "vm", name, "--host", agent.Name, "--kernel", "debian.vmlinuz", "--vf", $"{Inventories.Vf0}=02:00:00:00:00:09", "--wait");
        var wanted = await link.WantedAsync(w => w.Vms.Count == 1);
        await link.ReportAsync(wanted, VmState.Stopped);
        var made = await creation;
        Assert.True(made is { Code: 0, Error: "" } && made.Output.StartsWith($"Create VM {name} on {agent.Name}: done", StringComparison.Ordinal), made.ToString());

        var list = await RunAsync("list", "vm", "--filter", $"name={name}", "state=stopped");
        Assert.Equal(["NAME STATE WANTED HOST VCPUS MIB ID", name], [Squeeze(list.Output.Split('\n')[0]), Squeeze(list.Output.Split('\n')[1]).Split(' ')[0]]);
        var vm = JsonNode.Parse((await RunAsync("get", "vm", name, "-o", "json")).Output)!;
        Assert.Equal("02:00:00:00:00:09", (string?)vm["devices"]![0]!["mac"]);
        Assert.Matches("- address: ['\"]?0000:01:10\\.0['\"]?\n", (await RunAsync("get", "vm", (string)vm["id"]!, "-o", "yaml")).Output);

        var start = await RunAsync("start", name, "-o", "json");
        var operation = (string)JsonNode.Parse(start.Output)!["id"]!;
        Assert.Equal((int)ExitCode.TimedOut, (await RunAsync("wait", operation, "--timeout", "0")).Code);
        wanted = await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Running);
        await link.ReportAsync(wanted, VmState.Running);
        Assert.Equal(0, (await RunAsync("wait", operation)).Code);

        var running = await RunAsync("delete", "vm", name);
        Assert.True(running.Code == (int)ExitCode.Conflict && running.Error.Contains("vm-running", StringComparison.Ordinal), running.ToString());
        Assert.Equal((int)ExitCode.NotFound, (await RunAsync("stop", "no-such-vm")).Code);
    }

    [Fact]
    public async Task A_place_is_found_with_what_speaks_against_the_others()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(_host, Requests.Name("place-host"));
        using (var link = await agent.ComeUpAsync())
        {
            var told = await RunAsync("place", "--vfs", "1", "--kernel", "debian.vmlinuz");
            Assert.True(told.Code == 0 && told.Output.StartsWith($"{agent.Name}", StringComparison.Ordinal) && told.Output.Contains(Inventories.Vf0, StringComparison.Ordinal), told.ToString());
            var plan = JsonNode.Parse((await RunAsync("place", "--policy", "pack", "-o", "json")).Output)!;
            Assert.Equal(agent.Name, (string?)plan["chosen"]!["hostName"]);
            await link.HangUpAsync();
        }
        var none = await RunAsync("place");
        Assert.StartsWith("No host fits.", none.Output, StringComparison.Ordinal);
        Assert.Contains("its link is lost", none.Output, StringComparison.Ordinal);
        Assert.Equal((int)ExitCode.Refused, (await RunAsync("place", "--vcpus", "0")).Code);
    }

    [Fact]
    public async Task Apply_brings_about_what_a_spec_says_and_does_nothing_the_second_time()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(_host, Requests.Name("apply-host"));
        using var link = await agent.ComeUpAsync();
        var (project, vm) = (Requests.Name("applied-project"), Requests.Name("applied"));
        var file = Path.Combine(_folder.Path, "spec.yaml");
        await File.WriteAllTextAsync(file, $"""
            kind: project
            name: {project}
            quota:
              vms: 2
            ---
            kind: vm
            name: {vm}
            host: {agent.Name}
            project: {project}
            kernel: debian.vmlinuz
            memoryMib: 128
            devices:
              - address: 0000:01:10.0
                mac: "02:00:00:00:00:01"
            run: running
            """, TestContext.Current.CancellationToken);
        var dry = await RunAsync("apply", "-f", file, "--dry-run");
        Assert.True(dry.Code == 0 && dry.Output.Contains($"vm {vm}: create", StringComparison.Ordinal) && dry.Output.Contains("  + memoryMib: 128", StringComparison.Ordinal), dry.ToString());
        Assert.Empty(JsonNode.Parse((await RunAsync("list", "vm", "--filter", $"name={vm}", "-o", "json")).Output)!.AsArray());

        var applying = RunAsync("apply", "-f", file);
        await link.ReportAsync(await link.WantedAsync(w => w.Vms.Count == 1), VmState.Running);
        Assert.Equal((0, ""), await CodeAndErrorAsync(applying));
        var again = await RunAsync("apply", "-f", file);
        Assert.Equal((0, $"project {project}: nothing\nvm {vm}: nothing\n"), (again.Code, again.Output));

        // A member that can be changed is changed; one that cannot is refused with what differs; a run is brought about.
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).Replace("vms: 2", "vms: 3", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        Assert.Contains($"project {project}: change", (await RunAsync("apply", "-f", file)).Output, StringComparison.Ordinal);
        Assert.Equal(3, (int)JsonNode.Parse((await RunAsync("get", "project", project, "-o", "json")).Output)!["quota"]!["vms"]!);
        await File.WriteAllTextAsync(file, $$"""{"kind": "vm", "name": "{{vm}}", "memoryMib": 256}""", TestContext.Current.CancellationToken);
        var differs = await RunAsync("apply", "-f", file);
        Assert.True(differs.Code == (int)ExitCode.Conflict && differs.Output.Contains("  - memoryMib: 128\n  + memoryMib: 256", StringComparison.Ordinal), differs.ToString());
        await File.WriteAllTextAsync(file, $"kind: vm\nname: {vm}\nrun: stopped\n", TestContext.Current.CancellationToken);
        var stopping = RunAsync("apply", "-f", file);
        await link.ReportAsync(await link.WantedAsync(w => w.Vms[0].Run == WantedRun.Stopped), VmState.Stopped);
        Assert.Equal((0, ""), await CodeAndErrorAsync(stopping));
    }

    [Fact]
    public async Task Login_is_kept_for_its_server_and_for_its_owner_only()
    {
        var login = await RunAsync("login");
        Assert.True(login.Code == 0 && login.Output.Contains("as token test", StringComparison.Ordinal), login.ToString());
        var file = Path.Combine(_folder.Path, "exitless", "login.json");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        foreach (var name in (string[])["EXITLESS_SERVER", "EXITLESS_TOKEN", "EXITLESS_AUTHORITY"])
            _environment.Remove(name);
        Assert.Equal(0, (await RunAsync("whoami")).Code);
        // The kept token goes to no other server.
        Assert.Equal((int)ExitCode.NotAllowed, (await RunAsync("whoami", "--server", "https://elsewhere.example:1")).Code);
    }

    [Fact]
    public async Task What_goes_wrong_is_told_by_the_exit_code()
    {
        Assert.Equal((int)ExitCode.Usage, (await RunAsync("list", "nonsense")).Code);
        Assert.Equal((int)ExitCode.Usage, (await RunAsync("start")).Code);
        Assert.Equal((int)ExitCode.Usage, (await RunAsync("apply", "-f", "/no/such/file")).Code);
        Assert.Equal((int)ExitCode.Refused, (await RunAsync("list", "vm", "--filter", "state=dreaming")).Code);
        Assert.Equal((int)ExitCode.NotAllowed, (await RunAsync("list", "vm", "--token", "exat_wrong")).Code);
        Assert.Equal((int)ExitCode.Unreachable, (await RunAsync("list", "vm", "--server", "https://127.0.0.1:1", "--token", "x")).Code);
        // A certificate of another CA is no certificate.
        Assert.Equal((int)ExitCode.Unreachable, (await RunWithoutAsync("EXITLESS_AUTHORITY", "list", "vm")).Code);
        var viewer = await _host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(Requests.Name("cli-viewer"), null, Role.Viewer), TestHost.By, CancellationToken.None);
        var refused = await RunAsync("create", "project", "forbidden", "--token", viewer.Token);
        Assert.True(refused.Code == (int)ExitCode.NotAllowed && refused.Error.Contains("role admin", StringComparison.Ordinal), refused.ToString());
    }

    [Theory]
    [InlineData("exitless li", "list")]
    [InlineData("exitless list enrol", "enrolment-token")]
    [InlineData("exitless create token x --role op", "operator")]
    public async Task Shells_complete_words_by_the_command_itself(string line, string word)
    {
        var suggested = await RunAsync("complete", $"{line.Length}", line);
        Assert.Contains(word, suggested.Output.Split('\n'));
        foreach (var shell in (string[])["bash", "zsh", "fish"])
            Assert.Contains("exitless complete", (await RunAsync("completion", shell)).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tokens_and_people_are_made_and_taken_away()
    {
        var name = Requests.Name("cli-token");
        var token = JsonNode.Parse((await RunAsync("create", "token", name, "--role", "viewer", "--days", "1", "-o", "json")).Output)!;
        var who = JsonNode.Parse((await RunAsync("whoami", "--token", (string)token["token"]!, "-o", "json")).Output)!;
        Assert.Equal("viewer", (string?)who["grants"]![0]!["role"]);
        Assert.Equal(0, (await RunAsync("delete", "token", name)).Code);
        Assert.Equal((int)ExitCode.NotAllowed, (await RunAsync("whoami", "--token", (string)token["token"]!)).Code);
        var person = Requests.Name("cli-person");
        Assert.Equal(20, ((string)JsonNode.Parse((await RunAsync("create", "person", person, "--role", "operator", "-o", "json")).Output)!["password"]!).Length);
        Assert.Equal(0, (await RunAsync("delete", "person", person)).Code);
    }

    private static string Squeeze(string line) => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    private static async Task<(int, string)> CodeAndErrorAsync(Task<Result> run) => ((await run).Code, (await run).Error);

    private async Task<Result> RunWithoutAsync(string variable, params string[] args)
    {
        var value = _environment[variable];
        _environment.Remove(variable);
        var result = await RunAsync(args);
        _environment[variable] = value;
        return result;
    }

    private async Task<Result> RunAsync(params string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        var code = await CommandLine.RunAsync(args, output, error, name => _environment.GetValueOrDefault(name), TestContext.Current.CancellationToken);
        return new Result(code, output.ToString(), error.ToString());
    }

    private sealed record Result(int Code, string Output, string Error);
}
