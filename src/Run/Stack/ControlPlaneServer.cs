using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Exitless.Run.Stack;

/// <summary>The control plane as a process of its own, with its private PostgreSQL in <see cref="DataFolder"/>.</summary>
public sealed class ControlPlaneServer : IAsyncDisposable
{
    private const int LinesKept = 2000;
    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(3);
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();

    private ControlPlaneServer(Process process, ControlPlaneOptions options)
    {
        _process = process;
        Options = options;
    }

    /// <summary>How it was started; the same options start it again over the same data.</summary>
    public ControlPlaneOptions Options { get; }

    /// <summary>The folder with database, CA and keys.</summary>
    public string DataFolder => Options.DataFolder;

    /// <summary>The address that people and scripts use.</summary>
    public Uri Address => new($"https://127.0.0.1:{Options.HttpsPort}/");

    /// <summary>The process id.</summary>
    public int ProcessId => _process.Id;

    /// <summary>The first administrator's password; null unless this start made it.</summary>
    public string? FirstPassword { get; private set; }

    /// <summary>What it has printed last, oldest first.</summary>
    public IEnumerable<string> Output => _lines;

    /// <summary>Starts the control plane and waits until it is ready to serve.</summary>
    /// <exception cref="RunFailedException">It ended, or was not ready in time; the message carries what it printed.</exception>
    public static async Task<ControlPlaneServer> StartAsync(ControlPlaneOptions options, CancellationToken cancellation)
    {
        var start = options.Command();
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        var process = Process.Start(start) ?? throw new RunFailedException("control-plane", "the control plane did not start");
        var server = new ControlPlaneServer(process, options);
        process.OutputDataReceived += (_, line) => server.Keep(line.Data);
        process.ErrorDataReceived += (_, line) => server.Keep(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await server.UntilReadyAsync(cancellation);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends the process with SIGKILL, as a power cut would.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Stops it with SIGTERM and waits for its end.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            using (var terminate = Process.Start("kill", ["-TERM", $"{_process.Id}"]))
                await terminate.WaitForExitAsync();
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(40));
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                await KillAsync();
            }
        }
        _process.Dispose();
    }

    /// <summary>Two loopback ports that nobody listens on now.</summary>
    public static (int Https, int Agents) FreePorts()
    {
        using var first = new TcpListener(IPAddress.Loopback, 0);
        using var second = new TcpListener(IPAddress.Loopback, 0);
        first.Start();
        second.Start();
        return (((IPEndPoint)first.LocalEndpoint).Port, ((IPEndPoint)second.LocalEndpoint).Port);
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        const string marker = "first password: ";
        var at = line.IndexOf(marker, StringComparison.Ordinal);
        if (at >= 0)
        {
            // The password is for the person at the terminal; no log keeps it.
            FirstPassword = line[(at + marker.Length)..].Trim();
            return;
        }
        _lines.Enqueue(line);
        while (_lines.Count > LinesKept)
            _lines.TryDequeue(out _);
    }

    private async Task UntilReadyAsync(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(StartLimit);
        using var pulse = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        // The CA is made at the first start, so the readiness probe, which carries nothing, is the one request that cannot check it yet.
#pragma warning disable CA5359
        using var handler = new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } };
#pragma warning restore CA5359
        using var http = new HttpClient(handler) { BaseAddress = Address, Timeout = TimeSpan.FromSeconds(5) };
        while (true)
        {
            if (_process.HasExited)
                throw new RunFailedException("control-plane", $"the control plane ended with {_process.ExitCode}:\n{string.Join('\n', _lines.TakeLast(40))}");
            try
            {
                using var answer = await http.GetAsync("health/ready", limit.Token);
                if (answer.IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
            catch (TaskCanceledException) when (!limit.IsCancellationRequested)
            {
                // Listening, but slow.
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw NotInTime();
            }
            try
            {
                await pulse.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                throw NotInTime();
            }
        }
    }

    private RunFailedException NotInTime() =>
        new("control-plane", $"the control plane was not ready within {StartLimit.TotalSeconds:0} s:\n{string.Join('\n', _lines.TakeLast(40))}");
}
