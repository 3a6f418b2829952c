using System.CommandLine;
using System.Text.Json.Nodes;
using Exitless.Cli.Api;

namespace Exitless.Cli.Commands;

/// <summary><c>place</c>: where a VM would go, and why not elsewhere. Nothing is reserved.</summary>
internal static class PlaceCommand
{
    private static readonly Kind Hosts = new("host", "/api/v1/placement", false, ("HOST", "hostName"), ("FITS", "fits"), ("MEMORY LEFT", "memoryLeft"), ("REASON", "reason"));

    public static Command Make(Session session)
    {
        var vcpus = new Option<int>("--vcpus") { DefaultValueFactory = _ => 1 };
        var memory = new Option<int>("--memory") { DefaultValueFactory = _ => 512, Description = "MiB." };
        var vfs = new Option<int>("--vfs") { Description = "How many VFs." };
        var oneNode = new Option<bool>("--one-node") { Description = "All VFs on one NUMA node." };
        var kernel = new Option<string?>("--kernel") { Description = "A kernel image that the host must have." };
        var initrd = new Option<string?>("--initrd") { Description = "An initrd that the host must have." };
        var policy = new Option<string>("--policy") { DefaultValueFactory = _ => "spread", Description = "spread or pack." }.AcceptOnlyFromAmong("spread", "pack");
        var limit = new Option<int>("--limit") { DefaultValueFactory = _ => 20, Description = "Hosts to tell of." };
        var command = new Command("place", "Says where a VM would go, and for each other host why not there.") { vcpus, memory, vfs, oneNode, kernel, initrd, policy, limit };
        session.Act(command, async (parsed, api, printer, ct) =>
        {
            var query = new List<string>
            {
                $"vcpus={parsed.GetValue(vcpus)}", $"memoryMib={parsed.GetValue(memory)}", $"vfs={parsed.GetValue(vfs)}", $"oneNode={(parsed.GetValue(oneNode) ? "true" : "false")}",
                $"policy={parsed.GetValue(policy)}", $"limit={parsed.GetValue(limit)}",
            };
            foreach (var (name, image) in new[] { ("kernel", parsed.GetValue(kernel)), ("initrd", parsed.GetValue(initrd)) })
            {
                if (image is not null)
                    query.Add($"{name}={Uri.EscapeDataString(image)}");
            }
            var plan = (await api.GetAsync($"{Hosts.Path}?{string.Join('&', query)}", ct)).Body;
            if (!printer.ForPeople)
            {
                await printer.RawAsync(plan);
                return;
            }
            await printer.SayAsync(plan["chosen"] is JsonObject chosen
                ? string.Join(' ', chosen["devices"]!.AsArray().Select(d => (string?)d).Prepend($"{chosen["hostName"]}{(chosen["numaNode"] is { } node ? $", node {node}" : "")}:"))
                : "No host fits.");
            await printer.ListAsync(Hosts, plan["hosts"]!.AsArray());
        });
        return command;
    }
}
