using System.CommandLine;
using Exitless.Agent.ExitReasons;
using Exitless.Agent.Watching;
using Exitless.Linux;

namespace Exitless.Agent.Commands;

/// <summary>Grades the interrupts of every VM of this host, of whatever VMM, and changes nothing.</summary>
internal static class WatchCommand
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object a VM and second." };
        var seconds = new Option<int>("--seconds") { Description = "End after so many seconds; 0: at Ctrl-C.", DefaultValueFactory = _ => 0 };
        seconds.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 0)
                result.AddError("--seconds takes 0 or more.");
        });
        var reasons = new Option<bool>("--reasons") { Description = "Tell exits by their true reason too. While this runs the kernel counts each exit of each VM, in a tracing instance of our own; docs/exit-less.md says what that costs." };
        var command = new Command("watch", "Grades the interrupts of every VM of this host (QEMU's, libvirt's, ours), once a second; changes nothing.") { json, seconds, reasons };
        command.SetAction(async (parsed, stop) =>
        {
            try
            {
                await RunAsync(parsed.GetValue(json), parsed.GetValue(seconds), parsed.GetValue(reasons), TimeProvider.System, stop);
                return 0;
            }
            catch (AgentException e)
            {
                return CommonOptions.Tell(e);
            }
            catch (OperationCanceledException)
            {
                return 0;
            }
        });
        return command;
    }

    private static async Task RunAsync(bool json, int seconds, bool reasons, TimeProvider time, CancellationToken stop)
    {
        DescriptorLimit.Raise();
        ExitTrace? trace = null;
        if (reasons)
        {
            ExitTrace.CleanUp(HostRoot.Machine);
            trace = new ExitTrace(HostRoot.Machine);
        }
        using var watch = new Watch(HostRoot.Machine, trace);
        using var timer = new PeriodicTimer(Period, time);
        watch.Read();
        for (var second = 1; seconds == 0 || second <= seconds; second++)
        {
            await timer.WaitForNextTickAsync(stop);
            var read = watch.Read();
            if (trace?.Refusal is { } refusal)
                throw new AgentException(refusal, "Leave --reasons out: the grades need no trace.");
            if (!json)
            {
                Console.WriteLine($"{time.GetLocalNow():HH:mm:ss}");
                Console.Write(WatchOutput.Text(read));
                continue;
            }
            foreach (var one in read)
                Console.WriteLine(WatchOutput.Json(one, time.GetUtcNow()));
        }
    }
}
