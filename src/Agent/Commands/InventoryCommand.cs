using System.CommandLine;
using Exitless.Agent.Inventory;
using Exitless.Agent.Sriov;
using Exitless.Linux;
using Google.Protobuf;

namespace Exitless.Agent.Commands;

internal static class InventoryCommand
{
    public static Command Create()
    {
        var state = CommonOptions.StateFolder();
        var command = new Command("inventory", "Prints what the agent reports of this host, as JSON.") { state };
        command.SetAction(parsed =>
        {
            var (root, netlink) = (HostRoot.Machine, new KernelRtnetlink());
            var reader = new InventoryReader(
                root, new ImageFolder(Path.Combine(parsed.GetValue(state)!, "images")),
                new DeviceUseReader(root, netlink, () => [], () => new HashSet<string>(StringComparer.Ordinal)), new VfMacReader(root, netlink), new PciNames(root));
            var format = new JsonFormatter(JsonFormatter.Settings.Default.WithIndentation().WithFormatDefaultValues(true));
            Console.WriteLine(format.Format(reader.Read()));
        });
        return command;
    }
}
