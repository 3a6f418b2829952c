using System.Diagnostics;
using Exitless.Agent;
using Exitless.Agent.Events;
using Exitless.Agent.Telemetry;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Exitless.Benchmarks;

/// <summary>The CPU time of the agent's sampler with VMs on this machine's KVM.</summary>
/// <param name="Percent">Of one CPU; null: not measured.</param>
/// <param name="Why">Why it was not measured.</param>
internal sealed record SamplerCost(double? Percent, string? Why)
{
    public const int Vms = 50, VectorsPerVm = 8;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5), WarmUp = TimeSpan.FromSeconds(15);

    public static async Task<SamplerCost> MeasureAsync(string agent, TimeSpan time)
    {
        var folder = Directory.CreateTempSubdirectory("exitless-bench-").FullName;
        var guests = new List<(Process Process, VmmClient Client)>();
        using var limit = new CancellationTokenSource(Limit + time);
        try
        {
            using (Files.Open("/dev/kvm", OpenMode.ReadWrite))
            {
            }
            var image = Path.Combine(folder, "kernel");
            await File.WriteAllBytesAsync(image, TinyImage.Halt);
            DescriptorLimit.Raise();
            var root = InterruptGrowth.Record(Path.Combine(folder, "host"), InterruptGrowth.ManyCpus, InterruptGrowth.ManyInterrupts);
            for (var vm = 0; vm < Vms; vm++)
                guests.Add(await StartAsync(agent, folder, image, vm, limit.Token));
            return await SampleAsync(root, guests, time, limit.Token);
        }
        catch (Exception e) when (e is IOException or VmmProblemException or OperationCanceledException)
        {
            return new SamplerCost(null, e.Message);
        }
        finally
        {
            foreach (var (process, client) in guests)
            {
                await client.DisposeAsync();
                process.Kill();
                await process.WaitForExitAsync();
                process.Dispose();
            }
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<(Process, VmmClient)> StartAsync(string agent, string folder, string image, int vm, CancellationToken stop)
    {
        var socket = Path.Combine(folder, $"s{vm}");
        var process = Process.Start(new ProcessStartInfo(agent, ["vmm", "--socket", socket, "--sandbox", "0"]))!;
        var client = await DirectKvm.ConnectAsync(socket, stop);
        using var descriptors = new VmmDescriptors { Kvm = Files.Open("/dev/kvm", OpenMode.ReadWrite), Kernel = Files.Open(image, OpenMode.Read) };
        await client.LaunchAsync(DirectKvm.Config(), descriptors, stop);
        return (process, client);
    }

    private static async Task<SamplerCost> SampleAsync(HostRoot root, List<(Process Process, VmmClient Client)> guests, TimeSpan time, CancellationToken limit)
    {
        var signal = new AsyncSignal();
        var feed = new SampleFeed(signal, TimeProvider.System);
        using var sampler = new Sampler(feed, root, new EventLog(new AsyncSignal(), TimeProvider.System), TimeProvider.System, NullLogger.Instance);
        for (var vm = 0; vm < guests.Count; vm++)
        {
            // The processes are this machine's; everything else is the composed host's.
            Directory.CreateSymbolicLink(root.Proc($"{guests[vm].Process.Id}"), $"/proc/{guests[vm].Process.Id}");
            sampler.Add($"{vm}", guests[vm].Process.Id, await guests[vm].Client.TakeStatisticsAsync(limit), [InterruptGrowth.Addresses[vm]]);
        }
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(limit);
        var sampling = sampler.RunAsync(stop.Token);
        var sending = SendAsync(feed, signal, stop.Token);
        await Task.Delay(WarmUp, limit);
        var (began, used) = (Stopwatch.GetTimestamp(), Environment.CpuUsage.TotalTime);
        await Task.Delay(time, limit);
        var percent = (Environment.CpuUsage.TotalTime - used) / Stopwatch.GetElapsedTime(began) * 100;
        await stop.CancelAsync();
        await Task.WhenAll(sampling, sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var rows = Enumerable.Range(0, guests.Count).Min(vm => feed.RingOf($"{vm}").NextSequence);
        // A sampler that failed would be cheap.
        return rows >= time.TotalSeconds ? new SamplerCost(percent, null) : new SamplerCost(null, $"only {rows} samples were taken in {time.TotalSeconds:0} s");
    }

    // As the link does: whatever is due, as soon as it is, without a network.
    private static async Task SendAsync(SampleFeed feed, AsyncSignal signal, CancellationToken stop)
    {
        while (true)
        {
            var woken = signal.Rearm();
            while (feed.Next() is { } message)
            {
                message.WriteTo(Stream.Null);
                if (message.Rows is { } rows)
                    feed.Acknowledge(new SampleAck { VmId = rows.VmId, Through = rows.Rows[^1].Time });
            }
            await woken.WaitAsync(stop);
        }
    }
}
