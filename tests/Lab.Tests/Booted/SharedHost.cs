namespace Exitless.Lab.Tests.Booted;

/// <summary>One host for all tests that need no fresh one: complete, with an NVMe controller, a shared folder and a file of ours.</summary>
public sealed class SharedHost : IAsyncLifetime
{
    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly TemporaryFolder _folder = new();

    public LabHost Host { get; private set; } = null!;

    /// <summary>The folder that the host sees under /mnt/share.</summary>
    public string Share => Path.Combine(_folder.Path, "share");

    internal string RunRoot => Path.Combine(_folder.Path, "run");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Share);
        var script = _folder.Write("greet", "#!/bin/sh\necho greetings from $(hostname)\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Host = await LabHost.StartAsync(new LabHostOptions
        {
            Name = "shared",
            RunRoot = RunRoot,
            ShareFolder = Share,
            Nvme = true,
            Files = [new LabFile(script, "/opt/greet")],
        }, TestContext.Current.CancellationToken);
    }

    /// <summary>Runs a script that must succeed.</summary>
    internal async Task<string> RunAsync(string script, TimeSpan? limit = null)
    {
        var result = await Host.ShellAsync(script, limit ?? Limit, TestContext.Current.CancellationToken);
        Assert.True(result.ExitCode == 0, $"`{script}` ended with {result.ExitCode}: {result.Output}{result.Errors}");
        return result.Output.Trim();
    }

    /// <summary>Creates the NIC's 2 VFs and binds them to vfio-pci, unless that has been done. Returns the first VF's address.</summary>
    internal Task<string> CreateVfsAsync() => RunAsync("""
        pf=$(readlink -f /sys/class/net/eth1/device)
        if [ "$(cat $pf/sriov_numvfs)" = 0 ]; then
          echo 0 >$pf/sriov_drivers_autoprobe
          echo 2 >$pf/sriov_numvfs
          for vf in $pf/virtfn*; do
            echo vfio-pci >$vf/driver_override
            basename $(readlink -f $vf) >/sys/bus/pci/drivers_probe
          done
        fi
        basename $(readlink -f $pf/virtfn0)
        """);

    public async ValueTask DisposeAsync()
    {
        if (Host is not null)
            await Host.StopAsync();
        _folder.Dispose();
    }
}

[CollectionDefinition(Name)]
public sealed class SharedHostCollection : ICollectionFixture<SharedHost>
{
    public const string Name = "shared host";
}
