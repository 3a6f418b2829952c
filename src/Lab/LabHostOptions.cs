namespace Exitless.Lab;

/// <summary>What an emulated host is made of. The defaults are a complete SR-IOV host; the switches take single properties away, for negative tests.</summary>
public sealed record LabHostOptions
{
    /// <summary>Name of the host inside, and of its run folder: 1 to 32 lower-case letters, digits and hyphens.</summary>
    public required string Name { get; init; }

    /// <summary>The published agent; null boots a host without one.</summary>
    public string? AgentPath { get; init; }

    /// <summary>TCP port on this machine's loopback where the control plane takes agents; null leaves the agent without a server.</summary>
    public int? ServerPort { get; init; }

    /// <summary>One-time enrolment token.</summary>
    public string? Token { get; init; }

    /// <summary>SHA-256 fingerprint of the control plane's CA certificate, as <c>sha256:HEX</c>.</summary>
    public string? AuthorityFingerprint { get; init; }

    /// <summary>Extra files: where they are here, and their absolute path in the host.</summary>
    public IReadOnlyList<LabFile> Files { get; init; } = [];

    /// <summary>Extra files of the demo guest that is in the host: where they are here, and their absolute path in the guest.</summary>
    public IReadOnlyList<LabFile> GuestFiles { get; init; } = [];

    /// <summary>Folder of this machine that the host sees under <c>/mnt/share</c>, writable; null for none.</summary>
    public string? ShareFolder { get; init; }

    /// <summary>Memory in MiB; 512 to 2048. Above 2048 VF BARs would lie where QEMU loses the upper half of their addresses.</summary>
    public int MemoryMiB { get; init; } = 2048;

    /// <summary>CPUs; 1 to 16. CPU 0 of several runs no programs, unless the kernel sets others apart (decision 10).</summary>
    public int Cpus { get; init; } = 3;

    /// <summary>False: a host without an IOMMU.</summary>
    public bool Iommu { get; init; } = true;

    /// <summary>False: an IOMMU that does not remap interrupts.</summary>
    public bool InterruptRemapping { get; init; } = true;

    /// <summary>Width of IOVA addresses the IOMMU translates: 39 or 48 bits.</summary>
    public int AddressWidth { get; init; } = 48;

    /// <summary>False: CPUs without virtualization, hence no <c>/dev/kvm</c>.</summary>
    public bool Svm { get; init; } = true;

    /// <summary>Number of SR-IOV NICs (82576); 0 to 4. The n-th sits in a network 10.0.(2+n).0/24 with a gateway at .2.</summary>
    public int Nics { get; init; } = 1;

    /// <summary>True: an NVMe controller with 2 VFs and a disk of 64 MiB, and its driver in host and demo guest.</summary>
    public bool Nvme { get; init; }

    /// <summary>Kernel modules that the host loads instead of the kernel package's of the same names: .ko files, uncompressed.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>True: KVM has ELI (docs/eli.md). The modules are built when they are first asked for, which takes minutes.</summary>
    public bool Eli { get; init; }

    /// <summary>Further arguments for the host's kernel, such as <c>isolcpus=1</c>.</summary>
    public string KernelArguments { get; init; } = "";

    /// <summary>Further arguments for QEMU, for devices that have no switch of their own.</summary>
    public IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>Folder that holds one run folder a host; null: <c>hosts</c> in the cache. Short, because a Unix socket's path has at most 107 bytes.</summary>
    public string? RunRoot { get; init; }

    /// <summary>How long the host may take from its start to its shell.</summary>
    public TimeSpan BootLimit { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>Takes lines about what is being done; null for silence.</summary>
    public Action<string>? Progress { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Refuses what cannot be built, before anything is touched.</summary>
    /// <exception cref="LabException">Names the option, its value and its limit.</exception>
    internal void Check()
    {
        Require(Name.Length is >= 1 and <= 32 && Name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-') && Name[0] != '-',
            $"`{Name}` cannot be a host's name.", "Use 1 to 32 lower-case letters, digits and hyphens, the first no hyphen.");
        Require(MemoryMiB is >= 512 and <= 2048, $"A host cannot have {MemoryMiB} MiB of memory.", "Give 512 to 2048: above that, VFs of the emulated NIC do not work.");
        Require(Cpus is >= 1 and <= 16, $"A host cannot have {Cpus} CPUs.", "Give 1 to 16.");
        Require(AddressWidth is 39 or 48, $"The emulated IOMMU has no address width of {AddressWidth} bits.", "Give 39 or 48.");
        Require(Nics is >= 0 and <= 4, $"A host cannot have {Nics} SR-IOV NICs.", "Give 0 to 4.");
        Require(AgentPath is null || File.Exists(AgentPath), $"There is no agent at {AgentPath}.", "Publish it with `dotnet publish src/Agent -r linux-x64 -c Release`, or boot with --no-agent.");
        Require(ShareFolder is null || Directory.Exists(ShareFolder), $"The folder to share, {ShareFolder}, does not exist.", "Create it first.");
        Require(ServerPort is null or (> 0 and < 65536), $"{ServerPort} is no TCP port.", "Give 1 to 65535.");
        Require((Token is null) == (AuthorityFingerprint is null), "A token and the authority's fingerprint belong together, and one of them is missing.",
            "Give both, or neither.");
        Require(Token is null || ServerPort is not null, "A token was given, but no port of the control plane.", "Give the port too.");
        // They become words of a shell script inside the host.
        Require((Token + AuthorityFingerprint).All(c => char.IsAsciiLetterOrDigit(c) || c is ':' or '-' or '_' or '.' or '=' or '+' or '/'),
            "The token or the fingerprint has characters that neither can have.", "Copy them again, without quotes or spaces.");
        foreach (var module in Modules)
            Require(File.Exists(module) && module.EndsWith(".ko", StringComparison.Ordinal), $"{module} is no kernel module.", "Name .ko files that are there.");
        foreach (var file in Files.Concat(GuestFiles))
        {
            Require(File.Exists(file.Source), $"The file {file.Source} does not exist.", "Check its path.");
            Require(file.Target.StartsWith('/'), $"`{file.Target}` is no absolute path.", "Give HERE:/THERE.");
        }
    }

    private static void Require(bool condition, string problem, string remedy)
    {
        if (!condition)
            throw new LabException(problem, remedy);
    }
}

/// <summary>A file to put into a host.</summary>
/// <param name="Source">Its path on this machine.</param>
/// <param name="Target">Its absolute path in the host; it is executable there when it is here.</param>
public sealed record LabFile(string Source, string Target);
