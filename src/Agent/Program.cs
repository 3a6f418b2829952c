using System.CommandLine;
using Exitless.Agent.Commands;
using Exitless.Vmm;

// The VMM's process skips the command line's parser: each VM would pay for its memory.
if (VmmCommandLine.Is(args))
    return await VmmCommandLine.RunAsync(args);

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
