using System.CommandLine;
using System.Runtime.InteropServices;
using Exitless.Agent.Storage;
using Exitless.Vmm;

namespace Exitless.Agent.Commands;

/// <summary>The VMM's process. Started by the agent, one for each VM.</summary>
internal static class VmmCommand
{
    public const string Name = "vmm", SocketOption = "--socket";

    /// <summary>With the number of the user that the process is to become; 0: it stays who it is.</summary>
    public const string SandboxOption = "--sandbox";

    public static Command Create()
    {
        var socket = new Option<string>(SocketOption) { Description = "Where the control socket is made.", Required = true };
        var command = new Command(Name, "Runs one VM. Started by the agent, not by people.") { socket };
        command.SetAction((parsed, _) => RunAsync(parsed.GetValue(socket)!, null));
        return command;
    }

    /// <param name="socket">Where the control socket is made.</param>
    /// <param name="user">See <see cref="SandboxOption"/>; null: no sandbox.</param>
    public static async Task<int> RunAsync(string socket, uint? user)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        if (user is not { } owner)
        {
            await VmmProcess.RunAsync(socket, stop.Token);
            return 0;
        }
        var empty = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(socket))!, "empty");
        if (owner != 0)
            AtomicFile.CreateFolder(empty);
        await VmmProcess.RunConfinedAsync(socket, owner, empty, stop.Token);
        return 0;
    }
}
