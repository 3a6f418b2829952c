using System.CommandLine;
using Exitless.Vmm;

namespace Exitless.Agent.Commands;

/// <summary>The VMM's process. Started by the agent, one for each VM; from the file exitless-vmm where that is beside the agent's.</summary>
internal static class VmmCommand
{
    public static Command Create()
    {
        var socket = new Option<string>(VmmCommandLine.SocketOption) { Description = "Where the control socket is made.", Required = true };
        var command = new Command(VmmCommandLine.Name, "Runs one VM. Started by the agent, not by people.") { socket };
        command.SetAction((parsed, _) => VmmCommandLine.RunAsync(parsed.GetValue(socket)!, null));
        return command;
    }
}
