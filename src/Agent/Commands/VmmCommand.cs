using System.CommandLine;
using System.Runtime.InteropServices;
using Exitless.Vmm;

namespace Exitless.Agent.Commands;

/// <summary>The VMM's process. Started by the agent, one for each VM.</summary>
internal static class VmmCommand
{
    public const string Name = "vmm", SocketOption = "--socket";

    public static Command Create()
    {
        var socket = new Option<string>(SocketOption) { Description = "Where the control socket is made.", Required = true };
        var command = new Command(Name, "Runs one VM. Started by the agent, not by people.") { socket };
        command.SetAction((parsed, _) => RunAsync(parsed.GetValue(socket)!));
        return command;
    }

    public static async Task<int> RunAsync(string socket)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        await VmmProcess.RunAsync(socket, stop.Token);
        return 0;
    }
}
