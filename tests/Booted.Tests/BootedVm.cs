using System.Text.Json;
using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>A VM that <c>exitless-agent boot</c> runs in the lab's host. Its files there are in <see cref="Folder"/>.</summary>
internal sealed class BootedVm(BootedHost host, string name) : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);
    private bool _ended;

    /// <summary>In the host: <c>spec.json</c>, <c>console</c> (all that the guest wrote, and the JSON lines), <c>messages</c> (what the agent said), <c>in</c> (a pipe to the guest's console), <c>pid</c>, <c>code</c>.</summary>
    public string Folder => $"/run/booted/{name}";

    /// <summary>The control socket, in the host.</summary>
    public string Socket => $"{Folder}/vmm.sock";

    public async Task StartAsync(JsonObject spec, string options)
    {
        await host.RunAsync($$"""
            mkdir -p {{Folder}}
            mkfifo {{Folder}}/in
            cat >{{Folder}}/spec.json <<'SPEC'
            {{spec.ToJsonString()}}
            SPEC
            : >{{Folder}}/console
            (
              sleep 100000 >{{Folder}}/in & holder=$!
              {{BootedHost.Agent}} boot {{Folder}}/spec.json --json --socket {{Socket}} --run-dir {{Folder}}/run {{options}} <{{Folder}}/in >{{Folder}}/console 2>{{Folder}}/messages &
              echo $! >{{Folder}}/pid
              wait $!
              echo $? >{{Folder}}/code
              kill $holder
            ) </dev/null >/dev/null 2>&1 &
            until [ -s {{Folder}}/pid ]; do sleep 0.1; done
            """);
    }

    /// <summary>Waits until the console shows a line that matches a basic regular expression of grep's.</summary>
    /// <param name="after">Bytes of the console that do not count.</param>
    /// <returns>The first such line.</returns>
    public async Task<string> WaitForAsync(string pattern, long after = 0, TimeSpan? limit = null)
    {
        var result = await host.Host.ShellAsync(
            $$"""
            until tail -c +{{after + 1}} {{Folder}}/console | tr -d '\r' | grep -a -m 1 '{{pattern}}'; do
              [ ! -e {{Folder}}/code ] || exit 1
              sleep 0.3
            done
            """,
            limit ?? Limit, TestContext.Current.CancellationToken);
        return result.ExitCode == 0 ? result.Output.Trim() : throw new InvalidOperationException($"'{pattern}' did not come. {await TailAsync()}");
    }

    /// <summary>The guest is up and its shell takes orders.</summary>
    public Task<string> WaitUntilReadyAsync() => WaitForAsync("exitless: ready");

    /// <summary>Types an order for the guest's shell and waits for the line that answers it; the order must not look like its answer.</summary>
    /// <param name="order">One line.</param>
    /// <param name="answer">A basic regular expression.</param>
    public async Task<string> OrderAsync(string order, string answer)
    {
        var before = long.Parse(await host.RunAsync($"wc -c <{Folder}/console"), System.Globalization.CultureInfo.InvariantCulture);
        await TypeAsync(order);
        return await WaitForAsync(answer, before);
    }

    /// <summary>Types a line.</summary>
    public Task TypeAsync(string line) => host.RunAsync($"""
        cat >{Folder}/in <<'ORDER'
        {line}
        ORDER
        """);

    /// <summary>KVM's statistics now: <c>processId</c>, <c>vm</c>, <c>vcpus</c>.</summary>
    public async Task<JsonElement> StatisticsAsync()
    {
        var before = long.Parse(await host.RunAsync($"wc -c <{Folder}/console"), System.Globalization.CultureInfo.InvariantCulture);
        await SignalAsync("USR1");
        return JsonDocument.Parse(await WaitForAsync("^{\"processId\"", before)).RootElement;
    }

    /// <summary>Sends a signal to the command (TERM: the power button).</summary>
    public Task SignalAsync(string signal) => host.RunAsync($"kill -{signal} $(cat {Folder}/pid)");

    /// <summary>The process of the VM itself, in the host.</summary>
    public async Task<int> ProcessIdAsync() => (await StatisticsAsync()).GetProperty("processId").GetInt32();

    /// <summary>Waits until the command has ended.</summary>
    /// <returns>Its exit code, and its last JSON line: as <see cref="StatisticsAsync"/>, and how the guest ended in <c>end</c>. Undefined where the guest never ran.</returns>
    public async Task<(int ExitCode, JsonElement Statistics)> WaitForEndAsync()
    {
        var code = int.Parse(await host.RunAsync($"until [ -s {Folder}/code ]; do sleep 0.3; done; cat {Folder}/code", Limit), System.Globalization.CultureInfo.InvariantCulture);
        _ended = true;
        var line = await host.RunAsync($$"""grep -a '^{"processId".*"end"' {{Folder}}/console | tail -n 1""");
        return (code, line.Length == 0 ? default : JsonDocument.Parse(line).RootElement);
    }

    /// <summary>Switches the guest off through its shell.</summary>
    public async Task PowerOffAsync()
    {
        await TypeAsync("poweroff -f");
        var (code, _) = await WaitForEndAsync();
        Assert.True(code == 0, $"The command ended with {code}. {await TailAsync()}");
    }

    /// <summary>What the agent said on standard error.</summary>
    public Task<string> MessagesAsync() => host.RunAsync($"cat {Folder}/messages");

    /// <summary>The ends of the console and of the agent's messages, for a failure's text.</summary>
    public async Task<string> TailAsync() => await host.RunAsync($"tail -c 3000 {Folder}/console; echo; echo == messages; tail -n 20 {Folder}/messages");

    /// <summary>Ends what still runs, so that the next test finds the host free.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_ended)
            await host.RunAsync($$"""
                pid=$(cat {{Folder}}/pid)
                kill -TERM $pid 2>/dev/null; kill -TERM $pid 2>/dev/null
                until [ -e {{Folder}}/code ]; do kill -TERM $pid 2>/dev/null; sleep 0.3; done
                """);
    }
}
