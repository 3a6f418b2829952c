using System.CommandLine;
using System.Runtime.InteropServices;
using Exitless.Run;

var check = new Option<bool>("--check") { Description = "Unattended: one line of JSON with the figures; leaves with 0, or with 1 and what failed." };
var eli = new Option<bool>("--eli") { Description = "A host whose KVM has ELI, and a VM with direct interrupts, switched to injection and back every 20 seconds." };
var noLab = new Option<bool>("--no-lab") { Description = "The control plane alone, without an emulated host." };
var data = new Option<string>("--data") { Description = "The control plane's data folder.", DefaultValueFactory = _ => ".data" };
var root = new RootCommand("Starts Exitless with an emulated SR-IOV host to try it on; Ctrl-C stops everything that it started.") { check, eli, noLab, data };
root.SetAction(async (parsed, cancellation) =>
{
    using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
    // Stopping is ours alone: a second signal during the clean-up must not leave a QEMU behind.
    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = true;
        stop.Cancel();
    }
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    var session = new Session(new SessionOptions(
        Artifacts: Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..")),
        DataFolder: Path.GetFullPath(parsed.GetRequiredValue(data)),
        Check: parsed.GetValue(check), Lab: !parsed.GetValue(noLab), Eli: parsed.GetValue(eli)), TimeProvider.System);
    return await session.RunAsync(stop.Token);
});
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
