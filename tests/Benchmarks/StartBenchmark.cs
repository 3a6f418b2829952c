using System.Diagnostics;
using System.Globalization;
using Exitless.Linux;
using Exitless.Vmm;
using Exitless.Vmm.Control;

namespace Exitless.Benchmarks;

/// <summary>
/// What the start of a VM's process costs before it asks KVM for anything, for machines without /dev/kvm too: it is handed /dev/null in its place, and refuses the launch at the first
/// ioctl. Wall time, CPU time of all its threads and page faults, beside the same program without a VM and /bin/true, taken in turn; medians. From the agent's file and from the VMM's own;
/// and where /dev/kvm opens, until a guest's first byte.
/// </summary>
internal static class StartBenchmark
{
    private const int Before = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    /// <returns>The program's exit code.</returns>
    public static async Task<int> RunAsync(string[] rest)
    {
        var agents = new List<string>();
        var rounds = 30;
        for (var i = 0; i < rest.Length; i++)
        {
            switch (rest[i])
            {
                case "--agent" when i + 1 < rest.Length: agents.Add(rest[++i]); break;
                case "--rounds" when i + 1 < rest.Length: rounds = int.Parse(rest[++i], CultureInfo.InvariantCulture); break;
                default:
                    Console.Error.WriteLine($"'{rest[i]}' is not known, or lacks its value.");
                    return 2;
            }
        }
        if (agents.Count == 0)
            agents.AddRange([Checkout.Agent, DirectKvm.Vmm(Checkout.Agent)]);
        var folder = Directory.CreateTempSubdirectory("exitless-start-").FullName;
        try
        {
            var kernel = Path.Combine(folder, "kernel");
            await File.WriteAllBytesAsync(kernel, TinyImage.Halt);
            List<Sample> nothing = [];
            var ready = agents.ConvertAll(_ => new List<Sample>());
            var refused = agents.ConvertAll(_ => new List<Sample>());
            var version = agents.ConvertAll(_ => new List<Sample>());
            var byteOf = agents.ConvertAll(_ => new List<Sample>());
            var hasKvm = OpensKvm();
            for (var round = -Before; round < rounds; round++)
            {
                void Keep(List<Sample> into, Sample sample)
                {
                    if (round >= 0)
                        into.Add(sample);
                }
                Keep(nothing, await ProgramAsync("/bin/true"));
                for (var a = 0; a < agents.Count; a++)
                {
                    Keep(version[a], await ProgramAsync(agents[a], "--version"));
                    var (first, last) = await VmmAsync(agents[a], folder, kernel);
                    Keep(ready[a], first);
                    Keep(refused[a], last);
                    if (hasKvm)
                        Keep(byteOf[a], new Sample((await DirectKvm.RunAsync(agents[a], folder, TinyImage.Loop([0xee], 0x80, 0, 1))).First, double.NaN, -1));
                }
            }
            Console.WriteLine("| | ms | ratio to /bin/true | CPU ms | page faults |\n|---|---|---|---|---|");
            var control = Median(nothing);
            Tell("/bin/true", control, control);
            for (var a = 0; a < agents.Count; a++)
            {
                Tell($"{Path.GetFileName(agents[a])} --version", Median(version[a]), control);
                Tell("… vmm, until a client has its hello", Median(ready[a]), control);
                Tell("… and until the launch is refused at the first ioctl of KVM", Median(refused[a]), control);
                if (hasKvm)
                    Tell("… or, with KVM, until the guest's first byte", Median(byteOf[a]), control);
            }
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool OpensKvm()
    {
        try
        {
            using var kvm = Files.Open("/dev/kvm", OpenMode.ReadWrite);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void Tell(string what, Sample sample, Sample control) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture, $"| {what} | {sample.Ms:0.0} | {sample.Ms / control.Ms:0.0} | {(double.IsNaN(sample.CpuMs) ? "" : sample.CpuMs.ToString("0.0", CultureInfo.InvariantCulture))} | {(sample.Faults < 0 ? "" : sample.Faults)} |"));

    // Of a process that has ended the kernel keeps nothing but what its parent could ask for.
    private static async Task<Sample> ProgramAsync(string program, params string[] arguments)
    {
        var started = Stopwatch.GetTimestamp();
        using var process = DirectKvm.Spawn(program, arguments);
        await process.WaitForExitAsync(CancellationToken.None);
        return new Sample(Stopwatch.GetElapsedTime(started).TotalMilliseconds, double.NaN, -1);
    }

    private static async Task<(Sample Ready, Sample Refused)> VmmAsync(string agent, string folder, string kernel)
    {
        var socket = Path.Combine(folder, "s");
        File.Delete(socket);
        using var limit = new CancellationTokenSource(Limit);
        var started = Stopwatch.GetTimestamp();
        using var process = DirectKvm.Spawn(agent, "vmm", "--socket", socket, "--sandbox", VmmProcess.IsRoot ? DirectKvm.OwnUser : "0");
        await using var client = await DirectKvm.ConnectAsync(socket, limit.Token);
        var ready = Sample.Of(process.Id, started);
        try
        {
            using var descriptors = new VmmDescriptors { Kvm = Files.Open("/dev/null", OpenMode.ReadWrite), Kernel = Files.Open(kernel, OpenMode.Read) };
            await client.LaunchAsync(DirectKvm.Config(), descriptors, limit.Token);
            throw new InvalidOperationException("A VM was launched on /dev/null.");
        }
        catch (VmmProblemException e) when (e.Code == "no-kvm")
        {
            var refused = Sample.Of(process.Id, started);
            await client.EndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            return (ready, refused);
        }
    }

    private static Sample Median(List<Sample> samples) => new(Middle(samples, s => s.Ms), Middle(samples, s => s.CpuMs), (long)Middle(samples, s => s.Faults));

    private static double Middle(List<Sample> samples, Func<Sample, double> figure) => samples.Select(figure).Order().ElementAt(samples.Count / 2);

    /// <param name="Ms">Since the start.</param>
    /// <param name="CpuMs">Of all threads that live (/proc/‹pid›/task/‹tid›/schedstat); NaN: not known.</param>
    /// <param name="Faults">Minor page faults (/proc/‹pid›/stat); -1: not known.</param>
    private sealed record Sample(double Ms, double CpuMs, long Faults)
    {
        public static Sample Of(int process, long started)
        {
            var ms = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            var cpu = Directory.GetDirectories($"/proc/{process}/task").Sum(t => long.Parse(File.ReadAllText(t + "/schedstat").Split(' ')[0], CultureInfo.InvariantCulture));
            var stat = File.ReadAllText($"/proc/{process}/stat");
            // Behind the name, which may hold anything: state is field 3, minflt field 10 (proc_pid_stat(5)).
            var faults = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[7];
            return new Sample(ms, cpu / 1e6, long.Parse(faults, CultureInfo.InvariantCulture));
        }
    }
}
