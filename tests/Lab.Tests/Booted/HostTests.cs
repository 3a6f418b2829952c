namespace Exitless.Lab.Tests.Booted;

[Collection(SharedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class HostTests(SharedHost shared)
{
    [Fact]
    public async Task The_host_has_kvm_and_vfio_and_a_name()
        => Assert.Equal("shared\n/dev/kvm\n/dev/vfio/vfio", await shared.RunAsync("hostname; ls /dev/kvm /dev/vfio/vfio"));

    [Fact]
    public async Task Its_file_systems_are_those_the_agent_needs()
    {
        var mounts = await shared.RunAsync("cut -d ' ' -f 2,3 /proc/mounts");
        foreach (var mount in (string[])["/sys/fs/cgroup cgroup2", "/sys/kernel/debug debugfs", "/sys/kernel/tracing tracefs", "/run tmpfs", "/dev devtmpfs", "/mnt/share 9p"])
            Assert.Contains(mount, mounts);
        Assert.Equal("debian.vmlinuz\ndemo.initrd", await shared.RunAsync("ls /var/lib/exitless/images"));
    }

    [Fact]
    public async Task Interrupts_are_remapped_and_the_management_link_is_up()
    {
        Assert.Contains("IR-PCI-MSI", await shared.RunAsync("cat /proc/interrupts"));
        var routes = await shared.RunAsync("ip route");
        Assert.Contains("default via 10.0.2.2 dev eth0", routes);
        Assert.Contains("src 10.0.2.15", routes);
    }

    [Fact]
    public async Task Each_vf_has_a_group_of_its_own_and_takes_vfio_pci()
    {
        await shared.CreateVfsAsync();
        var vfs = (await shared.RunAsync("""
            for vf in /sys/class/net/eth1/device/virtfn*; do
              echo "$(basename $(readlink $vf/iommu_group)) $(ls $vf/iommu_group/devices | wc -l) $(basename $(readlink $vf/driver))"
            done
            """)).Split('\n').Select(line => line.Split(' ')).ToList();
        Assert.Equal(2, vfs.Count);
        Assert.Equal(2, vfs.Select(v => v[0]).Distinct().Count());
        Assert.All(vfs, v => Assert.Equal(("1", "vfio-pci"), (v[1], v[2])));
        foreach (var vf in vfs)
            await shared.RunAsync($"test -c /dev/vfio/{vf[0]}");
    }

    [Fact]
    public async Task The_nvme_controller_can_have_vfs_too()
        => Assert.Equal("2\n131072", await shared.RunAsync("cat /sys/class/nvme/nvme0/device/sriov_totalvfs /sys/block/nvme0n1/size"));

    [Fact]
    public async Task Files_travel_in_and_the_shared_folder_both_ways()
    {
        Assert.Equal("greetings from shared", await shared.RunAsync("/opt/greet"));
        await File.WriteAllTextAsync(Path.Combine(shared.Share, "here"), "seen", TestContext.Current.CancellationToken);
        Assert.Equal("seen", await shared.RunAsync("cat /mnt/share/here; echo back >/mnt/share/there"));
        Assert.Equal("back\n", await File.ReadAllTextAsync(Path.Combine(shared.Share, "there"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_command_s_output_errors_and_exit_code_come_back_apart()
    {
        var result = await shared.Host.ShellAsync("echo 'out: exitless-end'\nprintf 'no newline' >&2\nexit 7", SharedHost.Limit, TestContext.Current.CancellationToken);
        Assert.Equal(new LabShellResult(7, "out: exitless-end\n", "no newline"), result);
    }

    [Fact]
    public async Task Long_commands_and_long_output_arrive_whole()
    {
        var lines = Enumerable.Range(1, 20000).Select(n => $"{n}\n");
        Assert.Equal(string.Concat(lines).Trim(), await shared.RunAsync("seq 1 20000"));
        Assert.Equal("30000", await shared.RunAsync($"printf %s {new string('x', 30000)} | wc -c"));
        Assert.Contains("32768", (await Assert.ThrowsAsync<LabException>(() => shared.RunAsync(new string('#', 32769)))).Problem);
    }

    [Fact]
    public async Task More_commands_than_consoles_run_and_none_gets_another_s_answer()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 9).Select(n => shared.RunAsync($"sleep 0.{n}; echo {n}")));
        Assert.Equal(Enumerable.Range(0, 9).Select(n => $"{n}"), answers);
    }

    [Fact]
    public async Task A_command_that_does_not_end_is_killed_and_the_shell_lives_on()
    {
        var problem = await Assert.ThrowsAsync<TimeoutException>(() => shared.Host.ShellAsync("echo before; sleep 1000", TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken));
        Assert.Contains("before", problem.Message);
        for (var again = 0; again < 5; again++)
            Assert.Equal("alive", await shared.RunAsync("echo alive"));
    }

    [Fact]
    public async Task The_console_log_tells_of_the_boot()
        => Assert.Contains("exitless-lab: shared is up", await File.ReadAllTextAsync(shared.Host.ConsoleLogPath, TestContext.Current.CancellationToken));
}
