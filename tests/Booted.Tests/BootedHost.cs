using Exitless.Lab;

namespace Exitless.Booted.Tests;

/// <summary>One emulated host for all tests of the VMM: two SR-IOV NICs with two VFs each, no agent daemon; the agent's program is /opt/exitless/exitless-agent.</summary>
public class BootedHost : IAsyncLifetime
{
    internal const string Agent = "/opt/exitless/exitless-agent";
    internal const string Kernel = "/var/lib/exitless/images/debian.vmlinuz";
    internal const string Initrd = "/var/lib/exitless/images/demo.initrd";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-booted-").FullName;
    private int _vms;

    public LabHost Host { get; private set; } = null!;

    /// <summary>The folder that the host sees under /mnt/share, both ways.</summary>
    public string Share => Path.Combine(_folder, "share");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Share);
        Host = await LabHost.StartAsync(
            Shape(new LabHostOptions
            {
                Name = "booted",
                RunRoot = Path.Combine(_folder, "run"),
                ShareFolder = Share,
                Nics = 2,
                Files = [new LabFile(Checkout.Agent, Agent), new LabFile(PublishedVmm.Of(Checkout.Agent) ?? Checkout.Agent, Path.Combine(Path.GetDirectoryName(Agent)!, "exitless-vmm"))],
            }),
            TestContext.Current.CancellationToken);
    }

    /// <summary>What the host is made of; another kind of host changes it.</summary>
    protected virtual LabHostOptions Shape(LabHostOptions options) => options;

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (Host is not null)
            await Host.StopAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Runs a script in the host; it must succeed.</summary>
    internal async Task<string> RunAsync(string script, TimeSpan? limit = null)
    {
        var result = await Host.ShellAsync(script, limit ?? Limit, TestContext.Current.CancellationToken);
        Assert.True(result.ExitCode == 0, $"`{script}` ended with {result.ExitCode}: {result.Output}{result.Errors}");
        return result.Output.Trim();
    }

    /// <summary>Two VFs of the first or the second NIC, made when first asked for, without a driver of the host's.</summary>
    /// <param name="nic">1 or 2.</param>
    /// <returns>Their PCI addresses.</returns>
    internal async Task<string[]> VfsAsync(int nic) => (await RunAsync($$"""
        pf=$(readlink -f /sys/class/net/eth{{nic}}/device)
        if [ "$(cat $pf/sriov_numvfs)" = 0 ]; then
          echo 0 >$pf/sriov_drivers_autoprobe
          echo 2 >$pf/sriov_numvfs
        fi
        for vf in $pf/virtfn*; do basename $(readlink -f $vf); done
        """)).Split('\n');

    /// <summary>Boots a VM with <c>exitless-agent boot</c>. Dispose it in the same test.</summary>
    /// <param name="spec">The description (docs/agent.md); kernel, initrd and a name are added where they are missing.</param>
    /// <param name="options">Further options of the command.</param>
    internal async Task<BootedVm> BootAsync(System.Text.Json.Nodes.JsonObject spec, string options = "")
    {
        var name = $"vm{Interlocked.Increment(ref _vms)}";
        spec["name"] ??= name;
        if (spec["bootDisk"] is null)
        {
            spec["kernel"] ??= Kernel;
            spec["initrd"] ??= Initrd;
        }
        spec["commandLine"] ??= "console=ttyS0 quiet";
        var vm = new BootedVm(this, name);
        await vm.StartAsync(spec, options);
        return vm;
    }
}

[CollectionDefinition(Name)]
public sealed class BootedHostCollection : ICollectionFixture<BootedHost>
{
    public const string Name = "booted host";
}
