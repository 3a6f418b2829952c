using System.CommandLine;
using Exitless.Agent.Commands;

// The VMM's process skips the command line's parser: each VM would pay for its memory.
if (args is [VmmCommand.Name, VmmCommand.SocketOption, var socket, .. var sandbox] && sandbox.Length is 0 or 2)
    return await VmmCommand.RunAsync(socket, sandbox is [var how, var user] ? new SandboxChoice(how, user) : null);

var root = new RootCommand("The Exitless agent: manages this host's VFs and VMs for a control plane, and is the VMM of each VM.")
{
    RunCommand.Create(),
    EnrolCommand.Create(),
    InventoryCommand.Create(),
    DoctorCommand.Create(),
    BootCommand.Create(),
    WatchCommand.Create(),
    SandboxCommand.Create(),
    VmmCommand.Create(),
};
// A VM in the foreground answers signals itself: a guest may take longer to switch off than the parser would wait.
var invocation = args is [BootCommand.Name, ..] ? new InvocationConfiguration { ProcessTerminationTimeout = null } : null;
return await root.Parse(args).InvokeAsync(invocation);
