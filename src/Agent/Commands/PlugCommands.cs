using System.CommandLine;
using Exitless.Agent.Foreground;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Commands;

/// <summary>Devices into a running VM of this host and out again.</summary>
internal static class PlugCommands
{
    public static Command CreateAttach()
    {
        var (address, socket) = Common();
        var vfio = CommonOptions.Vfio();
        var command = new Command("attach", "Plugs a device, which vfio-pci has already, into a running VM.") { address, socket, vfio };
        command.SetAction((parsed, stop) => RunAsync("attached", parsed.GetValue(address)!, parsed.GetValue(socket)!, device => device.AttachAsync(parsed.GetValue(vfio), stop)));
        return command;
    }

    public static Command CreateDetach()
    {
        var (address, socket) = Common();
        var limit = new Option<int>("--limit") { Description = "Seconds that the guest may take to give it back; then it is taken away. 0: at once.", DefaultValueFactory = _ => 30 };
        limit.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 0 or > 3600)
                result.AddError("--limit takes 0 to 3600 seconds.");
        });
        var command = new Command("detach", "Asks the guest of a running VM to give a device back, and releases it; vfio-pci keeps it.") { address, socket, limit };
        command.SetAction((parsed, stop) =>
            RunAsync("detached", parsed.GetValue(address)!, parsed.GetValue(socket)!, device => device.DetachAsync(TimeSpan.FromSeconds(parsed.GetValue(limit)), stop)));
        return command;
    }

    private static (Argument<string> Address, Option<string> Socket) Common() => (
        new Argument<string>("address") { Description = "The device's PCI address on this host, such as 0000:01:10.0." },
        new Option<string>("--socket") { Description = "The VM's control socket, such as /run/exitless/vms/‹id›/vmm.sock.", Required = true });

    private static async Task<int> RunAsync(string done, string address, string socket, Func<PluggedDevice, Task<VmmResources>> run)
    {
        try
        {
            var held = await run(new PluggedDevice(address, socket, HostRoot.Machine));
            Console.WriteLine($"{address} {done}: gsis={held.Gsis} memorySlots={held.MemorySlots}{(held.DmaMappingsLeft is { } left ? $" dmaMappingsLeft={left}" : "")}");
            return 0;
        }
        catch (ProblemException e)
        {
            return CommonOptions.Tell(e);
        }
        catch (VmmProblemException e)
        {
            return CommonOptions.Tell(new ProblemException(e.Code, e.Title, e.Detail, e.Remedy, e.Field, e));
        }
        catch (IOException e)
        {
            await Console.Error.WriteLineAsync($"exitless-agent: {e.Message}");
            return 2;
        }
    }
}
