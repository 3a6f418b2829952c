using System.CommandLine;

namespace Exitless.Lab.CommandLine;

/// <summary><c>exitless-lab boot</c>: a host in the foreground, until Ctrl-C or SIGTERM.</summary>
internal static class BootCommand
{
    private static readonly Option<string?> Agent = new("--agent") { Description = "The published exitless-agent." };
    private static readonly Option<bool> NoAgent = new("--no-agent") { Description = "Boot without an agent." };
    private static readonly Option<int?> ServerPort = new("--server-port") { Description = "Port on this machine's loopback where the control plane takes agents." };
    private static readonly Option<string?> Token = new("--token") { Description = "One-time enrolment token." };
    private static readonly Option<string?> Authority = new("--authority-fingerprint") { Description = "Fingerprint of the control plane's CA, sha256:HEX." };
    private static readonly Option<string[]> Files = new("--file") { Description = "HERE:/THERE puts a file into the host; repeatable." };
    private static readonly Option<string?> Share = new("--share") { Description = "Folder that the host sees under /mnt/share." };
    private static readonly Option<int> Memory = new("--memory") { Description = "Memory in MiB, at most 2048.", DefaultValueFactory = _ => 2048 };
    private static readonly Option<int> Cpus = new("--cpus") { Description = "CPUs.", DefaultValueFactory = _ => 3 };
    private static readonly Option<int> Nics = new("--nics") { Description = "SR-IOV NICs (82576).", DefaultValueFactory = _ => 1 };
    private static readonly Option<bool> Nvme = new("--nvme") { Description = "An NVMe controller with SR-IOV and a disk of 64 MiB." };
    private static readonly Option<bool> NoIommu = new("--no-iommu") { Description = "A host without an IOMMU." };
    private static readonly Option<bool> NoRemapping = new("--no-intremap") { Description = "An IOMMU that does not remap interrupts." };
    private static readonly Option<int> AddressWidth = new("--aw-bits") { Description = "Bits of IOVA addresses: 39 or 48.", DefaultValueFactory = _ => 48 };
    private static readonly Option<bool> NoSvm = new("--no-svm") { Description = "CPUs without virtualization." };
    private static readonly Option<string[]> Modules = new("--module") { Description = "A kernel module to load instead of the stock one of that name; repeatable." };
    private static readonly Option<bool> Eli = new("--eli") { Description = "KVM with ELI, built when it is first asked for." };
    private static readonly Option<string> Kernel = new("--kernel-args") { Description = "Further arguments for the host's kernel, such as `isolcpus=1`.", DefaultValueFactory = _ => "" };
    private static readonly Option<string[]> Qemu = new("--qemu-arg") { Description = "A further argument for QEMU; repeatable." };

    public static Command Build(Option<string> name, Option<string?> runRoot)
    {
        var command = new Command("boot", "Boots a host and keeps it until Ctrl-C.")
        {
            name, Agent, NoAgent, ServerPort, Token, Authority, Files, Share, Memory, Cpus, Nics, Nvme, NoIommu, NoRemapping, AddressWidth, NoSvm, Kernel, Modules, Eli, Qemu,
        };
        command.SetAction(async (parsed, cancel) =>
        {
            await using var host = await LabHost.StartAsync(Options(parsed, name, runRoot), cancel);
            Console.WriteLine($"{host.Name} is up after {host.BootTime.TotalSeconds:F1} s; run folder: {host.RunFolderPath}");
            try
            {
                await host.WaitForEndAsync(cancel);
                Console.WriteLine($"{host.Name} has ended");
            }
            catch (OperationCanceledException)
            {
                Console.WriteLine($"stopping {host.Name}");
            }
            return 0;
        });
        return command;
    }

    private static LabHostOptions Options(ParseResult parsed, Option<string> name, Option<string?> runRoot)
    {
        var agent = parsed.GetValue(Agent);
        if (agent is null != parsed.GetValue(NoAgent))
            throw new LabException(agent is null ? "No agent was named." : "--agent and --no-agent exclude each other.", "Give --agent FILE, or --no-agent for a host without one.");
        return new LabHostOptions
        {
            Name = parsed.GetRequiredValue(name),
            RunRoot = parsed.GetValue(runRoot),
            AgentPath = agent,
            ServerPort = parsed.GetValue(ServerPort),
            Token = parsed.GetValue(Token),
            AuthorityFingerprint = parsed.GetValue(Authority),
            Files = [.. (parsed.GetValue(Files) ?? []).Select(ReadFile)],
            ShareFolder = parsed.GetValue(Share),
            MemoryMiB = parsed.GetValue(Memory),
            Cpus = parsed.GetValue(Cpus),
            Nics = parsed.GetValue(Nics),
            Nvme = parsed.GetValue(Nvme),
            Iommu = !parsed.GetValue(NoIommu),
            InterruptRemapping = !parsed.GetValue(NoRemapping),
            AddressWidth = parsed.GetValue(AddressWidth),
            Svm = !parsed.GetValue(NoSvm),
            Modules = parsed.GetValue(Modules) ?? [],
            Eli = parsed.GetValue(Eli),
            KernelArguments = parsed.GetRequiredValue(Kernel),
            QemuArguments = parsed.GetValue(Qemu) ?? [],
            Progress = Console.WriteLine,
        };
    }

    internal static LabFile ReadFile(string text)
    {
        var colon = text.LastIndexOf(":/", StringComparison.Ordinal);
        return colon > 0 ? new LabFile(text[..colon], text[(colon + 1)..])
            : throw new LabException($"`{text}` does not say where the file goes in the host.", "Give HERE:/THERE.");
    }
}
