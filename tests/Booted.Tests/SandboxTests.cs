using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>A VM's process that holds nothing it does not need.</summary>
[Collection(BootedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class SandboxTests(BootedHost host)
{
    [Fact]
    public async Task The_process_of_a_running_guest_is_refused_everything_and_the_guest_goes_on()
    {
        await using var vm = await host.BootAsync(new JsonObject { ["memoryMib"] = 256 });
        await vm.WaitUntilReadyAsync();
        var process = await vm.ProcessIdAsync();

        var tried = await host.RunAsync($"{BootedHost.Agent} sandbox --socket {vm.Socket} || true");
        Assert.DoesNotContain("NOT REFUSED", tried);
        Assert.All(["open", "socket inet", "socket unix", "ptrace", "execve", "mmap executable", "mprotect executable"], call => Assert.Contains($"refused {call}: 1", tried));

        // Seen from outside, thread by thread; KVM's own worker, which never leaves the kernel, keeps the user that made the VM.
        var threads = await host.RunAsync($$"""
            for task in /proc/{{process}}/task/*; do
              case $(cat $task/comm) in kvm-nx-*) ;; *) cat $task/status ;; esac
            done | grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|NoNewPrivs|Seccomp):' | tr -s '\t ' ' ' | sort | uniq -c
            """);
        Assert.Contains("CapEff: 0000000000000000", threads);
        Assert.Equal(1, threads.Split('\n').Count(l => l.Contains("CapEff:", StringComparison.Ordinal)));
        Assert.Equal(1, threads.Split('\n').Count(l => l.Contains("CapPrm:", StringComparison.Ordinal)));
        Assert.Contains("NoNewPrivs: 1", threads);
        Assert.DoesNotContain("NoNewPrivs: 0", threads);
        Assert.Contains("Seccomp: 2", threads);
        Assert.DoesNotContain("Seccomp: 0", threads);
        Assert.DoesNotContain("Uid: 0", threads);
        Assert.DoesNotContain("Gid: 0", threads);
        Assert.Equal("", await host.RunAsync($"ls -A /proc/{process}/root/"));
        foreach (var kind in (string[])["mnt", "net", "ipc", "uts"])
            Assert.NotEqual(await host.RunAsync($"readlink /proc/self/ns/{kind}"), await host.RunAsync($"readlink /proc/{process}/ns/{kind}"));
        await host.RunAsync($"! grep ' r.xp' /proc/{process}/maps | grep -v -E '\\.so|exitless-vmm|vdso|vsyscall'");

        // The agent still sees it, and the guest is as it was.
        await host.RunAsync($"grep -q Pss /proc/{process}/smaps");
        await vm.OrderAsync("echo sum=$((40+2))", "sum=42");
        Assert.True((await vm.StatisticsAsync()).GetProperty("vcpus")[0].GetProperty("exits").GetInt64() > 0);
        await vm.PowerOffAsync();
    }
}
