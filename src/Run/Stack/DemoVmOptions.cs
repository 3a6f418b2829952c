namespace Exitless.Run.Stack;

/// <summary>The demo VM's shape. Its network is the lab host's second user-mode network.</summary>
public sealed record DemoVmOptions
{
    /// <summary>The VM's name.</summary>
    public string Name { get; init; } = "demo";

    /// <summary>Memory, MiB.</summary>
    public int MemoryMib { get; init; } = 256;

    /// <summary>Pings a second; 0: it does not ping by itself.</summary>
    public int Rate { get; init; } = 5;

    /// <summary>The guest's address, with its prefix length.</summary>
    public string Address { get; init; } = "10.0.3.20/24";

    /// <summary>The peer that it pings.</summary>
    public string Peer { get; init; } = "10.0.3.2";

    /// <summary>How its interrupts reach it: auto, posted, eli or injected.</summary>
    public string Interrupts { get; init; } = "auto";

    /// <summary>Whether the counts of the reporter in the guest are taken.</summary>
    public bool GuestCounts { get; init; } = true;

    /// <summary>Further arguments of the guest's kernel.</summary>
    public string Arguments { get; init; } = "";

    /// <summary>The guest kernel's command line.</summary>
    public string CommandLine =>
        $"console=ttyS0 quiet iomem=relaxed exitless.ip={Address} exitless.gateway={Peer}{(Rate > 0 ? $" exitless.ping={Peer} exitless.rate={Rate}" : "")} {Arguments}".TrimEnd();

    /// <summary>The body of <c>POST /api/v1/vms</c>.</summary>
    public object Request(Guid host, string vf) => new
    {
        name = Name,
        hostId = host,
        kernel = "debian.vmlinuz",
        initrd = "demo.initrd",
        commandLine = CommandLine,
        vcpus = 1,
        memoryMib = MemoryMib,
        devices = new[] { new { address = vf, mac = (string?)null } },
        interrupts = Interrupts,
        guestCounts = GuestCounts,
        start = true,
    };
}
