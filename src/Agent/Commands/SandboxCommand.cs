using System.CommandLine;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Commands;

/// <summary>Shows that a VM's process can do nothing but run its VM.</summary>
internal static class SandboxCommand
{
    public static Command Create()
    {
        var socket = new Option<string>("--socket") { Description = "The VM's control socket, such as /run/exitless/vms/‹id›/vmm.sock.", Required = true };
        var command = new Command("sandbox", "Has the process of a running VM try what it must not be able to do; one line for each try with the error number that came.") { socket };
        command.SetAction(async (parsed, stop) =>
        {
            try
            {
                await using var client = await VmmClient.ConnectAsync(parsed.GetValue(socket)!, stop);
                var attempts = await client.TrySandboxAsync(stop);
                foreach (var attempt in attempts)
                    Console.WriteLine($"{(attempt.Error == 1 ? "refused" : "NOT REFUSED")} {attempt.Call}: {attempt.Error}");
                return attempts.All(a => a.Error == 1) ? 0 : 1;
            }
            catch (Exception e) when (e is IOException or VmmProblemException)
            {
                await Console.Error.WriteLineAsync($"exitless-agent: {e.Message}");
                return 2;
            }
        });
        return command;
    }
}
