using System.CommandLine;
using Exitless.Agent.Commands;


var root = new RootCommand("The Exitless agent: manages this host's VFs and VMs for a control plane, and is the VMM of each VM.")
{
    RunCommand.Create(),
    EnrolCommand.Create(),
    InventoryCommand.Create(),
};
return await root.Parse(args).InvokeAsync();
