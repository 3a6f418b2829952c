using System.CommandLine;
using Exitless.Agent.Foreground;

namespace Exitless.Agent.Commands;

/// <summary>One VM in the foreground, without a control plane.</summary>
internal static class BootCommand
{
    public const string Name = "boot";

    public static Command Create()
    {
        var spec = new Argument<string>("spec") { Description = "A JSON file that describes the VM; docs/agent.md shows one." };
        var run = CommonOptions.RunFolder();
        var socket = new Option<string?>("--socket") { Description = "Where the VM's control socket is made; in the VM's folder unless named." };
        var json = new Option<bool>("--json") { Description = "Print KVM's statistics as one JSON line at the end, and at each SIGUSR1." };
        var limit = new Option<int>("--stop-limit")
        {
            Description = "Seconds that the guest may take to switch itself off after Ctrl-C or SIGTERM.",
            DefaultValueFactory = _ => 30,
        };
        limit.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > 86_400)
                result.AddError("--stop-limit takes 0 to 86400 seconds.");
        });
        var vfio = CommonOptions.Vfio();
        var command = new Command(Name, "Runs one VM in the foreground: its console on this terminal, without a control plane.") { spec, run, socket, json, limit, vfio };
        command.SetAction(async (parsed, _) =>
        {
            try
            {
                var time = TimeProvider.System;
                var options = new BootOptions(parsed.GetValue(run)!, parsed.GetValue(socket), parsed.GetValue(json), TimeSpan.FromSeconds(parsed.GetValue(limit)), parsed.GetValue(vfio));
                using var vm = new ForegroundVm(BootSpec.Read(parsed.GetValue(spec)!, time), options, time);
                return await vm.RunAsync();
            }
            catch (ProblemException e)
            {
                return CommonOptions.Tell(e);
            }
            catch (OperationCanceledException)
            {
                Console.Error.WriteLine("exitless-agent: stopped before the guest ran.");
                return 2;
            }
        });
        return command;
    }
}
