using System.CommandLine;
using System.Globalization;
using Exitless.Agent.Commands;

// The VMM's process skips the command line's parser: each VM would pay for its memory.
if (args is [VmmCommand.Name, VmmCommand.SocketOption, var path])
    return await VmmCommand.RunAsync(path, null);
if (args is [VmmCommand.Name, VmmCommand.SocketOption, var socket, VmmCommand.SandboxOption, var user])
    return await VmmCommand.RunAsync(socket, uint.Parse(user, NumberStyles.None, CultureInfo.InvariantCulture));

var root = new RootCommand("The Exitless agent: manages this host's VFs and VMs for a control plane, and is the VMM of each VM.")
{
    RunCommand.Create(),
    EnrolCommand.Create(),
    InventoryCommand.Create(),
    DoctorCommand.Create(),
    BootCommand.Create(),
    WatchCommand.Create(),
    SandboxCommand.Create(),
    PlugCommands.CreateAttach(),
    PlugCommands.CreateDetach(),
    VmmCommand.Create(),
};
// A VM in the foreground answers signals itself: a guest may take longer to switch off than the parser would wait.
var invocation = args is [BootCommand.Name, ..] ? new InvocationConfiguration { ProcessTerminationTimeout = null } : null;
return await root.Parse(args).InvokeAsync(invocation);
