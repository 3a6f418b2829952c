using System.Diagnostics;

namespace Exitless.Lab.Tests.Booted;

/// <summary>Hosts that lack something, and how hosts end. Each test needs fresh hosts of its own.</summary>
[Trait("Category", "Lab")]
public sealed class OtherHostsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private LabHostOptions Named(string name) => new() { Name = name, RunRoot = _folder.Path, MemoryMiB = 1024, Cpus = 1 };

    [Fact]
    public async Task Two_hosts_side_by_side_lack_what_their_switches_took_away()
    {
        // Without IOMMU and without virtualization; with neither interrupt remapping nor more than 39 bits of address.
        await using var bare = await LabHost.StartAsync(Named("bare") with { Iommu = false, Svm = false, Nics = 2 }, Cancel);
        await using var narrow = await LabHost.StartAsync(Named("narrow") with { InterruptRemapping = false, AddressWidth = 39 }, Cancel);
        Assert.Equal("", await InAsync(bare, "ls /sys/kernel/iommu_groups; ls /dev/kvm 2>/dev/null; grep -ow svm /proc/cpuinfo"));
        Assert.Equal("2", await InAsync(bare, "ls -d /sys/class/net/*/device/sriov_totalvfs | wc -l"));
        // Bits 21:16 of the capability register are the highest address bit (VT-d specification, 11.4.2).
        var capability = Convert.ToUInt64(await InAsync(narrow, "cat /sys/class/iommu/dmar0/intel-iommu/cap"), 16);
        Assert.Equal(38u, (capability >> 16) & 0x3F);
        Assert.Equal("0", await InAsync(narrow, "grep -c IR-PCI /proc/interrupts"));
        Assert.Equal("/dev/kvm", await InAsync(narrow, "ls /dev/kvm"));
        Assert.Equal(["bare", "narrow"], LabHost.Running(_folder.Path));
        await Assert.ThrowsAsync<LabException>(() => LabHost.StartAsync(Named("bare"), Cancel));
        await bare.StopAsync();
        await bare.StopAsync();
        Assert.Equal(["narrow"], LabHost.Running(_folder.Path));
        await narrow.KillAsync();
        Assert.True(HasEnded(narrow.ProcessId));
        Assert.Equal([], LabHost.Running(_folder.Path));
    }

    [Fact]
    public async Task A_host_that_qemu_refuses_says_so_and_leaves_nothing_behind()
    {
        var problem = await Assert.ThrowsAsync<LabException>(() => LabHost.StartAsync(Named("wrong") with { QemuArguments = ["-device", "no-such-device"] }, Cancel));
        Assert.Contains("no-such-device", problem.Problem);
        Assert.Empty(LabHost.Running(_folder.Path));
    }

    [Fact]
    public async Task A_host_that_takes_too_long_is_ended()
    {
        await Assert.ThrowsAsync<TimeoutException>(() => LabHost.StartAsync(Named("slow") with { BootLimit = TimeSpan.FromSeconds(1) }, Cancel));
        Assert.Empty(LabHost.Running(_folder.Path));
    }

    [Theory]
    [InlineData("TERM", true)]
    [InlineData("INT", true)]
    [InlineData("KILL", false)]
    public async Task No_qemu_outlives_the_boot_command(string signal, bool clean)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "exitless-lab.dll");
        // A program that is started in the background may have been told to ignore SIGINT, and what it starts inherits that.
        using var boot = Process.Start(new ProcessStartInfo("env", ["--default-signal=INT,TERM", "dotnet", program, "boot", "--name", "cli", "--no-agent", "--memory", "1024", "--run-folder", _folder.Path])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        })!;
        string? line;
        do
            line = await boot.StandardOutput.ReadLineAsync(Cancel);
        while (line is not null && !line.StartsWith("cli is up", StringComparison.Ordinal));
        Assert.NotNull(line);
        var qemu = int.Parse(await File.ReadAllTextAsync(Path.Combine(_folder.Path, "cli/qemu.pid"), Cancel));
        await Tool.TextAsync("kill", ["-" + signal, $"{boot.Id}"], "", Cancel);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        await boot.WaitForExitAsync(limit.Token);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (!HasEnded(qemu))
            await timer.WaitForNextTickAsync(limit.Token);
        Assert.Equal(clean, boot.ExitCode == 0);
        Assert.Empty(LabHost.Running(_folder.Path));
    }

    // A process whose parent has gone may stay as a zombie where nobody collects it.
    private static bool HasEnded(int processId)
    {
        try
        {
            return File.ReadAllText($"/proc/{processId}/stat").Split(") ")[^1][0] is 'Z' or 'X';
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return true;
        }
    }

    private static async Task<string> InAsync(LabHost host, string script) => (await host.ShellAsync(script, SharedHost.Limit, Cancel)).Output.Trim();
}
