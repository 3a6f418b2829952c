using System.Diagnostics;
using Exitless.Lab;

namespace Exitless.Run.Stack;

/// <summary>Control plane, REST client and lab hosts together, as <c>./run</c> and the end-to-end tests start them.</summary>
public sealed class DemoStack : IAsyncDisposable
{
    private static readonly TimeSpan EnrolLimit = TimeSpan.FromMinutes(3);
    private readonly List<LabHost> _hosts = [];
    private readonly DemoStackOptions _options;

    private DemoStack(DemoStackOptions options, ControlPlaneServer server, RestClient rest)
    {
        _options = options;
        Server = server;
        Rest = rest;
    }

    /// <summary>The control plane's process.</summary>
    public ControlPlaneServer Server { get; private set; }

    /// <summary>The REST API.</summary>
    public RestClient Rest { get; }

    /// <summary>Starts the control plane and gets an API token from it.</summary>
    public static async Task<DemoStack> StartAsync(DemoStackOptions options, CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.DataFolder);
        options.Say("Starting the control plane ...");
        var server = await ControlPlaneServer.StartAsync(options.ControlPlane, cancellation);
        try
        {
            var token = await TokenAsync(options, cancellation);
            var rest = new RestClient(server.Address, token, Path.Combine(options.DataFolder, "authority.pem"));
            return new DemoStack(options, server, rest);
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Boots a lab host, enrols it, and waits until the control plane has its inventory.</summary>
    public async Task<(LabHost Host, Guid Id)> BootHostAsync(LabHostOptions template, CancellationToken cancellation)
    {
        var made = await Rest.PostAsync("api/v1/enrolment-tokens", new { label = template.Name, minutes = 30 }, cancellation);
        _options.Say($"Booting the emulated SR-IOV host {template.Name} ...");
        var host = await LabHost.StartAsync(template with
        {
            AgentPath = _options.AgentFile,
            ServerPort = made.GetProperty("agentPort").GetInt32(),
            Token = made.GetProperty("token").GetString(),
            AuthorityFingerprint = made.GetProperty("authorityFingerprint").GetString(),
            RunRoot = _options.LabRunRoot,
            Progress = _options.Say,
        }, cancellation);
        _hosts.Add(host);
        var id = await Eventually.GetAsync($"host {template.Name} enrolled", EnrolLimit, async () =>
        {
            var hosts = await Rest.GetAsync("api/v1/hosts", cancellation);
            var found = hosts.EnumerateArray().FirstOrDefault(one =>
                one.GetProperty("name").GetString() == template.Name
                && one.GetProperty("connected").GetBoolean()
                && one.GetProperty("facts").ValueKind == System.Text.Json.JsonValueKind.Object);
            return found.ValueKind == System.Text.Json.JsonValueKind.Object ? found.GetProperty("id").GetString() : null;
        }, cancellation);
        return (host, Guid.Parse(id));
    }

    /// <summary>Starts the control plane again over the same data, after it was killed.</summary>
    public async Task RestartControlPlaneAsync(CancellationToken cancellation)
    {
        await Server.DisposeAsync();
        Server = await ControlPlaneServer.StartAsync(_options.ControlPlane, cancellation);
    }

    /// <summary>Stops the hosts, then the control plane.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var host in _hosts)
            await host.StopAsync();
        Rest.Dispose();
        await Server.DisposeAsync();
    }

    // One token is made for the data folder and kept beside it, so that runs do not pile tokens up.
    private static async Task<string> TokenAsync(DemoStackOptions options, CancellationToken cancellation)
    {
        var kept = Path.Combine(options.DataFolder, "run.token");
        if (File.Exists(kept))
            return (await File.ReadAllTextAsync(kept, cancellation)).Trim();
        var start = options.ControlPlane.Command("create-token", "--name", "run");
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using var process = Process.Start(start) ?? throw new RunFailedException("token", "create-token did not start");
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        var output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        if (process.ExitCode != 0)
            throw new RunFailedException("token", $"create-token ended with {process.ExitCode}: {await errors}");
        var token = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Last();
        var write = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        await using var file = new StreamWriter(kept, write);
        await file.WriteAsync(token);
        return token;
    }
}
