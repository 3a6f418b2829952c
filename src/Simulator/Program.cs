using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.Simulator;

var server = new Option<Uri>("--server") { Description = "The control plane's address for people and scripts.", DefaultValueFactory = _ => new Uri("https://127.0.0.1:7443") };
var token = new Option<string>("--token") { Description = "An API token of it (or the environment's EXITLESS_TOKEN).", DefaultValueFactory = _ => Environment.GetEnvironmentVariable("EXITLESS_TOKEN") ?? "" };
var authority = new Option<string>("--authority") { Description = "Its CA's certificate, PEM.", DefaultValueFactory = _ => ".data/authority.pem" };
var hosts = new Option<int>("--hosts") { Description = "Hosts.", DefaultValueFactory = _ => 3 };
var vms = new Option<int>("--vms") { Description = "VMs that are created on each host.", DefaultValueFactory = _ => 4 };
var pfs = new Option<int>("--pfs") { Description = "PFs of each host.", DefaultValueFactory = _ => 2 };
var vfs = new Option<int>("--vfs") { Description = "VFs of each PF at the start.", DefaultValueFactory = _ => 8 };
var nodes = new Option<int>("--numa-nodes") { Description = "NUMA nodes of each host.", DefaultValueFactory = _ => 2 };
var cpus = new Option<int>("--cpus") { Description = "CPUs of each host.", DefaultValueFactory = _ => 64 };
var memory = new Option<int>("--memory-gib") { Description = "Memory of each host in GiB.", DefaultValueFactory = _ => 256 };
var seed = new Option<ulong>("--seed") { Description = "The first host's seed; the same seeds give the same machines.", DefaultValueFactory = _ => 1 };
var prefix = new Option<string>("--prefix") { Description = "Hosts are named after it.", DefaultValueFactory = _ => "sim" };
var root = new RootCommand("Simulated hosts that speak the real agent link with a control plane: inventories, VMs, live rows, findings and consoles, without any hardware. Ctrl-C hangs up.")
{
    server, token, authority, hosts, vms, pfs, vfs, nodes, cpus, memory, seed, prefix,
};
root.SetAction(async (parsed, cancellation) =>
{
    using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    try
    {
        if (parsed.GetRequiredValue(token).Length == 0)
            throw new ArgumentException("An API token is missing; make one with 'dotnet Exitless.Web.dll create-token --name simulator' and give it by --token.");
        using var ca = X509CertificateLoader.LoadCertificateFromFile(parsed.GetRequiredValue(authority));
        var shape = new SimulatedShape(parsed.GetValue(pfs), parsed.GetValue(vfs), Math.Max(63, parsed.GetValue(vfs)), parsed.GetValue(nodes), parsed.GetValue(cpus), parsed.GetValue(memory), parsed.GetValue(vms));
        var options = new SimulatedFleetOptions(parsed.GetRequiredValue(server), parsed.GetRequiredValue(token), ca, parsed.GetValue(hosts), shape, parsed.GetValue(seed), parsed.GetRequiredValue(prefix));
        await using var fleet = await SimulatedFleet.StartAsync(options, TimeProvider.System, stop.Token);
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{fleet.Hosts.Count} hosts enrolled"));
        var created = await fleet.CreateVmsAsync(options, stop.Token);
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{created} VMs created"));
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return 0;
    }
    catch (Exception e) when (e is ArgumentException or InvalidOperationException or HttpRequestException or CryptographicException or Grpc.Core.RpcException)
    {
        await Console.Error.WriteLineAsync(e.Message);
        return 1;
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        return 0;
    }
});
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
