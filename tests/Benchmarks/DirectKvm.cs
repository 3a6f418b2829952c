using System.Diagnostics;
using Exitless.Lab;
using Exitless.Linux;
using Exitless.Vmm;
using Exitless.Vmm.Control;

namespace Exitless.Benchmarks;

/// <summary>What this machine's own /dev/kvm gave; milliseconds and nanoseconds, medians.</summary>
/// <param name="StartMs">From the start of the VMM's process to the guest's first byte.</param>
/// <param name="ProgramMs">The same program's start and end without a VM, confined the same way: a control.</param>
/// <param name="TrueMs">The start and end of /bin/true, confined the same way: the other control.</param>
/// <param name="PioNs">One port write that the VMM answers.</param>
/// <param name="MmioNs">One memory read that the VMM answers.</param>
/// <param name="Why">Why there are no figures; null: there are.</param>
internal sealed record DirectFigures(double StartMs, double ProgramMs, double TrueMs, double PioNs, double MmioNs, string? Why);

/// <summary>Small guests on this machine's /dev/kvm under the published agent's VMM.</summary>
internal static class DirectKvm
{
    private const int Starts = 15;
    internal const string OwnUser = "1895825409";
    private const uint FewExits = 1_000, ManyExits = 201_000;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>The file that VMs run from: the agent starts them from exitless-vmm where that is beside its own.</summary>
    public static string Vmm(string agent) => PublishedVmm.Of(agent) ?? agent;

    public static async Task<DirectFigures> MeasureAsync(string agent)
    {
        agent = Vmm(agent);
        var folder = Directory.CreateTempSubdirectory("exitless-bench-").FullName;
        try
        {
            using (Files.Open("/dev/kvm", OpenMode.ReadWrite))
            {
            }
            var starts = new List<double>();
            var programs = new List<double>();
            var nothings = new List<double>();
            for (var i = 0; i < Starts; i++)
            {
                starts.Add((await RunAsync(agent, folder, TinyImage.Loop([0xee], 0x80, 0, 1))).First);
                programs.Add(await ProgramAsync(agent, "--version"));
                nothings.Add(await ProgramAsync("/bin/true"));
            }
            return new DirectFigures(
                Median(starts), Median(programs), Median(nothings), await PerExitAsync(agent, folder, [0xee], 0x80, 0), await PerExitAsync(agent, folder, [0x8a, 0x03], 0, 0xd0000000), null);
        }
        catch (Exception e) when (e is IOException or VmmProblemException or OperationCanceledException)
        {
            return new DirectFigures(0, 0, 0, 0, 0, e.Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // The difference of two lengths, so that what is done once does not count.
    private static async Task<double> PerExitAsync(string agent, string folder, byte[] access, ushort port, uint address)
    {
        var figures = new List<double>();
        for (var i = 0; i < 5; i++)
        {
            var few = (await RunAsync(agent, folder, TinyImage.Loop(access, port, address, FewExits))).Whole;
            var many = (await RunAsync(agent, folder, TinyImage.Loop(access, port, address, ManyExits))).Whole;
            figures.Add((many - few) * 1e6 / (ManyExits - FewExits));
        }
        return Median(figures);
    }

    /// <summary>One VM in a process of its own; milliseconds to its first byte, and from there to its end.</summary>
    internal static async Task<(double First, double Whole)> RunAsync(string agent, string folder, byte[] image)
    {
        var (path, socket) = (Path.Combine(folder, "kernel"), Path.Combine(folder, "s"));
        await File.WriteAllBytesAsync(path, image);
        File.Delete(socket);
        using var limit = new CancellationTokenSource(Limit);
        var started = Stopwatch.GetTimestamp();
        using var process = Spawn(agent, "vmm", "--socket", socket, "--sandbox", VmmProcess.IsRoot ? OwnUser : "0");
        await using var client = await ConnectAsync(socket, limit.Token);
        var first = FirstByteAsync(client, started, limit.Token);
        using (var descriptors = new VmmDescriptors { Kvm = Files.Open("/dev/kvm", OpenMode.ReadWrite), Kernel = Files.Open(path, OpenMode.Read) })
            await client.LaunchAsync(Config(), descriptors, limit.Token);
        var (ms, whole) = await first;
        await client.EndAsync(limit.Token);
        await process.WaitForExitAsync(limit.Token);
        return (ms, whole);
    }

    /// <summary>Milliseconds from the start to the first byte, and from there to the guest's end.</summary>
    private static async Task<(double First, double Whole)> FirstByteAsync(VmmClient client, long started, CancellationToken cancel)
    {
        double first = 0;
        var running = started;
        await foreach (var happening in client.EventsAsync(cancel))
        {
            if (first == 0 && happening is VmmConsoleOutput)
            {
                first = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
                running = Stopwatch.GetTimestamp();
            }
        }
        return (first, Stopwatch.GetElapsedTime(running).TotalMilliseconds);
    }

    internal static async Task<VmmClient> ConnectAsync(string socket, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                return await VmmClient.ConnectAsync(socket, cancel);
            }
            catch (IOException)
            {
                await Task.Delay(1, cancel);
            }
        }
    }

    // As the agent does it: where there is something to give up, all of it.
    internal static ProcessDescriptor Spawn(string program, params string[] arguments)
    {
        var request = new SpawnRequest { Path = program, Arguments = arguments, Environment = VmmProcess.Environment };
        return VmmProcess.IsRoot ? ProcessSpawn.StartInOwnNamespaces(request, out _) : ProcessSpawn.Start(request);
    }

    private static async Task<double> ProgramAsync(string program, params string[] arguments)
    {
        var started = Stopwatch.GetTimestamp();
        using var process = Spawn(program, arguments);
        await process.WaitForExitAsync(CancellationToken.None);
        return Stopwatch.GetElapsedTime(started).TotalMilliseconds;
    }

    internal static VmConfig Config() => new()
    {
        VmId = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()),
        Name = "benchmark",
        Vcpus = 1,
        MemoryBytes = 64 << 20,
        CommandLine = "",
        ConsoleLogPath = "",
        HasInitrd = false,
        Devices = [],
    };

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
