using System.CommandLine;
using System.Globalization;
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

    /// <summary>As <see cref="SandboxOption"/>, of the process that is in namespaces of its own already.</summary>
    private const string InsideOption = "--inside";

    public static Command Create()
    {
        var socket = new Option<string>(SocketOption) { Description = "Where the control socket is made.", Required = true };
        var command = new Command(Name, "Runs one VM. Started by the agent, not by people.") { socket };
        command.SetAction((parsed, _) => RunAsync(parsed.GetValue(socket)!, null));
        return command;
    }

    public static async Task<int> RunAsync(string socket, SandboxChoice? sandbox)
    {
        if (sandbox is { Option: SandboxOption, User: not 0, UserText: var text })
        {
            var why = VmmProcess.RestartInOwnNamespaces([Environment.GetCommandLineArgs()[0], Name, SocketOption, socket, InsideOption, text]);
            await Console.Error.WriteLineAsync($"The VM's process stays in the host's namespaces: {why}");
        }
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        if (sandbox is null)
        {
            await VmmProcess.RunAsync(socket, stop.Token);
            return 0;
        }
        var empty = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(socket))!, "empty");
        if (sandbox.User != 0)
            AtomicFile.CreateFolder(empty);
        await VmmProcess.RunConfinedAsync(socket, sandbox.User, empty, stop.Token);
        return 0;
    }
}

/// <summary>The sandbox that the arguments ask for.</summary>
/// <param name="Option">Which option.</param>
/// <param name="UserText">Its value.</param>
internal sealed record SandboxChoice(string Option, string UserText)
{
    public uint User { get; } = uint.Parse(UserText, NumberStyles.None, CultureInfo.InvariantCulture);
}
