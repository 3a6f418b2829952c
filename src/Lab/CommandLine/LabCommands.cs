using System.CommandLine;
using Exitless.Lab.Cache;
using Exitless.Lab.Initramfs;

namespace Exitless.Lab.CommandLine;

/// <summary>The commands of <c>exitless-lab</c>.</summary>
internal static class LabCommands
{
    private static readonly Option<string> Name = new("--name") { Description = "Name of the host.", Required = true };
    private static readonly Option<string?> RunRoot = new("--run-folder") { Description = "Folder that holds one run folder a host (default: `hosts` in the cache).", Recursive = true };

    public static RootCommand Root()
    {
        var root = new RootCommand("Boots emulated SR-IOV hosts: real KVM, VFIO and VFs on any machine.") { Prepare(), BootCommand.Build(Name, RunRoot), Shell(), Stop(), List(), Images() };
        root.Options.Add(RunRoot);
        return root;
    }

    private static Command Prepare()
    {
        var renew = new Option<bool>("--renew") { Description = "Look for newer packages, although the cache is filled." };
        var eli = new Option<bool>("--eli") { Description = "Build KVM's modules with ELI too." };
        var command = new Command("prepare", "Fills the cache: QEMU, kernel, busybox, from the machine's own Debian archive. Instant and offline the second time.") { renew, eli };
        command.SetAction(async (parsed, cancel) =>
        {
            var files = await Preparation.EnsureAsync(LabCache.Root, parsed.GetValue(renew), Console.WriteLine, cancel);
            if (parsed.GetValue(eli))
                Console.WriteLine($"{(await EliModules.EnsureAsync(LabCache.Root, files, Console.WriteLine, cancel)).Folder} has kvm.ko and kvm-amd.ko");
            Console.WriteLine($"{LabCache.Root} has {string.Join(", ", files.Packages.Select(p => $"{p.Key} {p.Value}"))}");
            return 0;
        });
        return command;
    }

    private static Command Shell()
    {
        var limit = new Option<int>("--limit") { Description = "Seconds after which the host kills the command.", DefaultValueFactory = _ => 60 };
        var words = new Argument<string[]>("command") { Description = "The command, after `--`.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("shell", "Runs a command as root in a host that runs; ends with the command's exit code.") { Name, limit, words };
        command.SetAction(async (parsed, cancel) =>
        {
            var result = await LabHost.ShellAsync(parsed.GetValue(RunRoot), parsed.GetRequiredValue(Name), string.Join(' ', parsed.GetRequiredValue(words)),
                TimeSpan.FromSeconds(parsed.GetValue(limit)), cancel);
            await Console.Out.WriteAsync(result.Output);
            await Console.Error.WriteAsync(result.Errors);
            return result.ExitCode;
        });
        return command;
    }

    private static Command Stop()
    {
        var command = new Command("stop", "Ends a host that runs.") { Name };
        command.SetAction(async (parsed, cancel) =>
        {
            await LabHost.StopAsync(parsed.GetValue(RunRoot), parsed.GetRequiredValue(Name), cancel);
            return 0;
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "Names the hosts that run.");
        command.SetAction(parsed =>
        {
            foreach (var name in LabHost.Running(parsed.GetValue(RunRoot)))
                Console.WriteLine(name);
            return 0;
        });
        return command;
    }

    private static Command Images()
    {
        var output = new Option<string>("--output") { Description = "Folder to write them into.", Required = true };
        var command = new Command("images", "Writes the demo guest's kernel and initrd (debian.vmlinuz, demo.initrd), for hosts with SR-IOV devices of their own.") { output };
        command.SetAction(async (parsed, cancel) =>
        {
            var files = await Preparation.EnsureAsync(LabCache.Root, false, Console.WriteLine, cancel);
            var folder = Directory.CreateDirectory(parsed.GetRequiredValue(output)).FullName;
            File.Copy(files.Kernel, Path.Combine(folder, "debian.vmlinuz"), overwrite: true);
            await new HostImage(files, new LabHostOptions { Name = "none" }, "").WriteGuestAsync(Path.Combine(folder, "demo.initrd"), cancel);
            Console.WriteLine($"{folder} has debian.vmlinuz ({files.KernelRelease}) and demo.initrd");
            return 0;
        });
        return command;
    }
}
