using System.CommandLine;
using Exitless.Agent.Logging;

namespace Exitless.Agent.Commands;

internal static class RunCommand
{
    public static Command Create()
    {
        var state = CommonOptions.StateFolder();
        var run = CommonOptions.RunFolder();
        var server = CommonOptions.Server(required: false);
        var token = CommonOptions.Token(required: false);
        var fingerprint = CommonOptions.Fingerprint(required: false);
        var vfio = CommonOptions.Vfio();
        var hang = new Option<int>("--hang-seconds") { Description = "Tell of a guest that takes no interrupts and does nothing for so long, 3 or more; 0: never.", DefaultValueFactory = _ => 30 };
        hang.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is not (0 or (>= 3 and <= 86_400)))
                result.AddError("--hang-seconds takes 0, or 3 to 86400.");
        });
        var above = new Option<long>("--reasons-above") { Description = "Count a VM's exits by reason while it has more than so many a second, though nobody looks; 0: never." };
        above.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<long>() is < 0 or > 100_000_000)
                result.AddError("--reasons-above takes 0 to 100000000.");
        });
        var seconds = new Option<int>("--reasons-seconds") { Description = "For how many seconds at most, and once in ten times that.", DefaultValueFactory = _ => 60 };
        seconds.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 10 or > 3600)
                result.AddError("--reasons-seconds takes 10 to 3600.");
        });
        var command = new Command("run", "Runs the agent. With --server, --token and --authority-fingerprint, a host that has no certificate yet is enrolled first.")
        {
            state, run, server, token, fingerprint, hang, above, seconds, vfio,
        };
        command.SetAction(async (parsed, stop) =>
        {
            using var log = StderrLog.Create(TimeProvider.System);
            var options = new AgentOptions(
                parsed.GetValue(state)!, parsed.GetValue(run)!, parsed.GetValue(server), parsed.GetValue(token), parsed.GetValue(fingerprint))
            { HangSeconds = parsed.GetValue(hang), ReasonsAbove = parsed.GetValue(above), ReasonsSeconds = parsed.GetValue(seconds), Vfio = parsed.GetValue(vfio) };
            try
            {
                await using var daemon = new AgentDaemon(options, TimeProvider.System, log);
                await daemon.RunAsync(stop);
                return 0;
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return 0;
            }
            catch (AgentException e)
            {
                return CommonOptions.Tell(e);
            }
        });
        return command;
    }
}
