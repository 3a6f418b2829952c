using System.Globalization;
using Exitless.Run.Stack;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>What one more viewer of 24 live charts costs the control plane.</summary>
/// <param name="CpuMilliseconds">CPU time of its process in a second.</param>
/// <param name="Bytes">Bytes of frames in a second, without those of TLS and WebSocket.</param>
/// <param name="Viewers">How many more there were.</param>
internal sealed record ViewerFigures(double CpuMilliseconds, double Bytes, int Viewers)
{
    private const int Charts = 24;
    private const int More = 40;
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(30);
    private static readonly double TicksASecond = 100;   // USER_HZ of every x86 kernel

    public static async Task<ViewerFigures> MeasureAsync(DemoStack stack, string prefix)
    {
        var vms = (await stack.Rest.GetAsync("api/v1/vms", CancellationToken.None)).EnumerateArray()
            .Where(vm => vm.GetProperty("name").GetString()!.StartsWith(prefix, StringComparison.Ordinal)).Select(vm => Guid.Parse(vm.GetProperty("id").GetString()!)).Take(Charts).ToArray();
        // One viewer is there before: that the agents are asked for every second at all is not the second viewer's cost.
        await using var first = await Viewer.OpenAsync(stack.Rest, vms);
        var alone = await CpuAsync(stack.Server.ProcessId, [first]);
        var viewers = new List<Viewer> { first };
        try
        {
            for (var i = 0; i < More; i++)
                viewers.Add(await Viewer.OpenAsync(stack.Rest, vms));
            var crowd = await CpuAsync(stack.Server.ProcessId, viewers);
            return new ViewerFigures((crowd.CpuMilliseconds - alone.CpuMilliseconds) / More, crowd.Bytes / viewers.Count, More);
        }
        finally
        {
            foreach (var viewer in viewers.Skip(1))
                await viewer.DisposeAsync();
        }
    }

    private static async Task<(double CpuMilliseconds, double Bytes)> CpuAsync(int process, IReadOnlyList<Viewer> viewers)
    {
        using var pulse = new PeriodicTimer(Time);
        using (var settle = new PeriodicTimer(TimeSpan.FromSeconds(5)))
            await settle.WaitForNextTickAsync();
        var (cpu, bytes, started) = (Ticks(process), viewers.Sum(v => v.Bytes), TimeProvider.System.GetTimestamp());
        await pulse.WaitForNextTickAsync();
        var seconds = TimeProvider.System.GetElapsedTime(started).TotalSeconds;
        return ((Ticks(process) - cpu) / TicksASecond * 1000 / seconds, (viewers.Sum(v => v.Bytes) - bytes) / seconds);
    }

    // utime and stime, behind the name in brackets (proc_pid_stat(5)).
    private static double Ticks(int process)
    {
        var fields = File.ReadAllText($"/proc/{process}/stat").Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture);
    }

    private sealed class Viewer : IAsyncDisposable
    {
        private readonly HubConnection _hub;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _reading;
        private long _bytes;

        private Viewer(HubConnection hub, Guid[] vms)
        {
            _hub = hub;
            _reading = ReadAsync(vms);
        }

        public long Bytes => Interlocked.Read(ref _bytes);

        public static async Task<Viewer> OpenAsync(RestClient rest, Guid[] vms)
        {
            var hub = new HubConnectionBuilder().WithUrl(new Uri(rest.Address, "hubs/live"), options =>
            {
                options.AccessTokenProvider = () => Task.FromResult<string?>(rest.Token);
                options.HttpMessageHandlerFactory = _ => rest.Handler();
                // Loopback, to the process that was started here.
#pragma warning disable CA5359
                options.WebSocketConfiguration = socket => socket.RemoteCertificateValidationCallback = (_, _, _, _) => true;
#pragma warning restore CA5359
            }).AddMessagePackProtocol().Build();
            await hub.StartAsync();
            return new Viewer(hub, vms);
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await _hub.DisposeAsync();
            _stop.Dispose();
        }

        private async Task ReadAsync(Guid[] vms)
        {
            await foreach (var frame in _hub.StreamAsync<byte[]>("WatchWall", vms, 0, _stop.Token))
                Interlocked.Add(ref _bytes, frame.Length);
        }
    }
}
