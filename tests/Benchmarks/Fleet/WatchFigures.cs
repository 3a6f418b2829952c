using System.Buffers.Binary;
using System.Globalization;
using Exitless.Run.Stack;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Benchmarks.Fleet;

/// <summary>Every VM watched at 1 s with all of its series, by viewers that take what the dashboard's charts take.</summary>
/// <param name="Vms">VMs that are watched.</param>
/// <param name="Vectors">Vectors whose counters are in the frames.</param>
/// <param name="RowsDue">Rows of the time: one a second and VM.</param>
/// <param name="RowsSeen">Rows that came, each second of a VM counted once.</param>
/// <param name="Age">How old rows were when a viewer had them, ms.</param>
internal sealed record WatchFigures(int Vms, int Vectors, long RowsDue, long RowsSeen, int LinksLost, Latencies? Age, double PssMib, CpuShares Cpu)
{
    private const int VmsOfConnection = 300;
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(10);

    /// <summary>A second of a VM may fall on either side of the window's ends.</summary>
    public bool Holds => LinksLost == 0 && RowsSeen >= RowsDue;

    public string Words => string.Create(CultureInfo.InvariantCulture, $"{Vms} VMs, {Vectors} vectors: {RowsSeen} of {RowsDue} rows, median age {Age?.Median:0}, p99 {Age?.P99:0} ms");

    public static async Task<WatchFigures> MeasureAsync(FleetRun run, IReadOnlyList<Simulator.SimulatedHost> hosts, TimeSpan window)
    {
        var vms = hosts.SelectMany(h => h.Running.Select(vm => vm.VmId)).ToList();
        var vectors = hosts.Sum(h => h.Running.Sum(vm => vm.Vfs.Count)) * FleetOptions.VectorsOfVf;
        var viewers = new List<Viewer>();
        try
        {
            foreach (var some in vms.Chunk(VmsOfConnection))
                viewers.Add(await Viewer.OpenAsync(run.Stack.Rest, some));
            using (var settle = new PeriodicTimer(Settle))
                await settle.WaitForNextTickAsync();
            var lost = hosts.Sum(h => h.LinksLost);
            var (cpu, began) = (run.Processes.Cpu(), TimeProvider.System.GetTimestamp());
            // Seconds are taken whole: from one that begins now to the one before the last that may be under way.
            var from = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 1;
            var to = from + (long)window.TotalSeconds;
            foreach (var viewer in viewers)
                viewer.Count(from, to);
            using (var pulse = new PeriodicTimer(window))
                await pulse.WaitForNextTickAsync();
            var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            var shares = FleetProcesses.Between(cpu, run.Processes.Cpu(), seconds);
            var (pss, _) = run.Processes.ServerMemory();
            using (var settle = new PeriodicTimer(TimeSpan.FromSeconds(5)))
                await settle.WaitForNextTickAsync();
            return new WatchFigures(vms.Count, vectors, vms.Count * (to - from), viewers.Sum(v => v.Rows), hosts.Sum(h => h.LinksLost) - lost, Latencies.Of(viewers.SelectMany(v => v.Ages)), pss, shares);
        }
        finally
        {
            foreach (var viewer in viewers)
                await viewer.DisposeAsync();
        }
    }

    private sealed class Viewer : IAsyncDisposable
    {
        private const int RowsHeader = 6;   // docs of the live hub: kind, live or past, u16 rows, u16 series

        private readonly HubConnection _hub;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _reading;
        private readonly Lock _gate = new();
        private readonly List<double> _ages = [];
        private long _from = long.MaxValue;
        private long _to;
        private long _rows;

        private Viewer(HubConnection hub, Guid[] vms)
        {
            _hub = hub;
            _reading = Task.WhenAll(vms.Select(ReadAsync));
        }

        public long Rows => Interlocked.Read(ref _rows);

        public IReadOnlyList<double> Ages
        {
            get
            {
                lock (_gate)
                    return [.. _ages];
            }
        }

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

        public void Count(long fromSecond, long toSecond)
        {
            lock (_gate)
                (_from, _to) = (fromSecond, toSecond);
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await _hub.DisposeAsync();
            _stop.Dispose();
        }

        private async Task ReadAsync(Guid vm)
        {
            var last = 0L;
            await foreach (var frame in _hub.StreamAsync<byte[]>("WatchVm", vm, 0, _stop.Token))
            {
                if (frame[0] != 2)
                    continue;
                var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
                var (rows, series) = (BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(2)), BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(4)));
                lock (_gate)
                {
                    for (var row = 0; row < rows; row++)
                    {
                        var time = (long)BinaryPrimitives.ReadDoubleLittleEndian(frame.AsSpan(RowsHeader + row * (series + 1) * sizeof(double)));
                        var second = time / 1000;
                        if (second <= last || second < _from || second >= _to)
                            continue;
                        (last, _rows) = (second, _rows + 1);
                        if (_rows % 16 == 0)
                            _ages.Add(now - time);
                    }
                }
            }
        }
    }
}
