namespace Exitless.Linux.Tests;

public sealed class ProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_spawned_process_leads_its_own_session_and_has_three_descriptors_and_no_blocked_signals()
    {
        using var inherited = new EventFd();
        var output = Path.Combine(_folder, "out");
        using var child = ProcessSpawn.Start(new SpawnRequest
        {
            Path = "/bin/sh",
            // Field 6 of stat is the session; ls itself holds the folder open as one more descriptor. The shell reads its status itself: while it starts a program it blocks all signals.
            Arguments = ["-c", "cut -d' ' -f6 /proc/$$/stat; ls /proc/$$/fd | wc -l; while read -r line; do case $line in SigBlk*|SigIgn*) echo \"$line\";; esac; done </proc/self/status; exit 7"],
            OutputPath = output,
        });
        Assert.Equal(7, await child.WaitForExitAsync(Limit()));
        var lines = await File.ReadAllLinesAsync(output, Limit());
        Assert.Equal(child.Id.ToString(), lines[0]);
        Assert.Equal("3", lines[1].Trim());
        Assert.Equal("SigBlk:\t0000000000000000", lines[2]);
        Assert.Equal("SigIgn:\t0000000000000000", lines[3]);
    }

    [Fact]
    public async Task A_process_with_namespaces_of_its_own_has_them_all_and_its_starter_stays_where_it_is()
    {
        string[] kinds = ["mnt", "net", "ipc", "uts"];
        string Own(string kind) => File.ResolveLinkTarget($"/proc/self/ns/{kind}", returnFinalTarget: false)!.Name;
        var before = kinds.Select(Own).ToArray();
        var output = Path.Combine(_folder, "out");
        using var child = ProcessSpawn.StartInOwnNamespaces(
            new SpawnRequest { Path = "/bin/sh", Arguments = ["-c", "cd /proc/$$/ns && readlink mnt net ipc uts; grep ' / / ' /proc/$$/mountinfo | grep -c shared:"], OutputPath = output }, out var refused);
        await child.WaitForExitAsync(Limit());
        var lines = await File.ReadAllLinesAsync(output, Limit());
        Assert.Equal(before, kinds.Select(Own));
        if (refused is null)
        {
            Assert.All(kinds.Index(), kind => Assert.StartsWith(kind.Item + ":[", lines[kind.Index]));
            Assert.All(kinds.Index(), kind => Assert.NotEqual(before[kind.Index], lines[kind.Index]));
            // What is mounted on one side does not come or go on the other.
            Assert.Equal("0", lines[4]);
        }
        else
        {
            // Where this may not be: in its starter's, and said so.
            Assert.Equal(before, lines[..4]);
        }
        await Assert.ThrowsAsync<LinuxException>(() => Task.FromResult(ProcessSpawn.StartInOwnNamespaces(new SpawnRequest { Path = "/nowhere/agent" }, out _)));
    }

    [Fact]
    public async Task Variables_of_a_request_come_before_those_of_the_starter()
    {
        var output = Path.Combine(_folder, "out");
        using var child = ProcessSpawn.Start(new SpawnRequest
        {
            Path = "/bin/sh",
            Arguments = ["-c", "echo $PATH; echo $OTHER; env | grep -c ^PATH="],
            Environment = new Dictionary<string, string> { ["PATH"] = "/usr/bin:/bin", ["OTHER"] = "one" },
            OutputPath = output,
        });
        Assert.Equal(0, await child.WaitForExitAsync(Limit()));
        Assert.Equal(["/usr/bin:/bin", "one", "1"], await File.ReadAllLinesAsync(output, Limit()));
    }

    [Fact]
    public void Pages_of_the_programs_files_go_and_what_was_written_stays()
    {
        static long Resident() => long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssFile:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]);
        var written = Enumerable.Range(0, 100_000).ToArray();
        using var pages = ProgramPages.Open();
        var before = Resident();
        pages.Drop();
        Assert.InRange(Resident(), 0, before - 1);
        Assert.Equal(Enumerable.Range(0, 100_000), written);
        // Code that had run, and code that had not, comes back.
        Assert.Throws<LinuxException>(() => Files.Open("/nowhere", OpenMode.Read));
        Assert.Equal("3.14", Math.PI.ToString("0.00", System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task A_signal_ends_a_process_and_the_exit_code_names_it()
    {
        using var child = ProcessSpawn.Start(new SpawnRequest { Path = "/bin/sleep", Arguments = ["600"] });
        Assert.False(child.HasEnded);
        Assert.True(child.Signal(9));
        Assert.Equal(128 + 9, await child.WaitForExitAsync(Limit()));
        Assert.True(child.HasEnded);
        Assert.False(child.Signal(9));
        Assert.Null(ProcessDescriptor.Open(child.Id));
    }

    [Fact]
    public void A_program_that_is_not_there_fails_at_once()
    {
        var e = Assert.Throws<LinuxException>(() => ProcessSpawn.Start(new SpawnRequest { Path = "/nowhere/agent" }));
        Assert.Equal(Errno.NoEntry, e.Errno);
        Assert.Contains("/nowhere/agent", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Privileges_and_locked_memory_are_read_from_a_recorded_tree()
    {
        var status = Path.Combine(_folder, "proc", "42", "status");
        Directory.CreateDirectory(Path.GetDirectoryName(status)!);
        File.WriteAllText(status, "Name:\tx\nVmLck:\t     512 kB\nVmPin:\t    1024 kB\nCapEff:\t0000000000004000\n");
        Assert.Equal(new ProcessStatus(0x4000, 1536 << 10), ProcessStatus.Read(_folder, "42"));
        Assert.True(ProcessStatus.Read(_folder, "42").MayLockMemory);
        File.WriteAllText(status, "CapEff:\t0000000000000000\n");
        Assert.False(ProcessStatus.Read(_folder, "42").MayLockMemory);
    }

    [Fact]
    public void Limits_can_be_read_and_lowered_and_raised_again()
    {
        var before = ResourceLimit.Get(LimitedResource.OpenFiles);
        ResourceLimit.Set(LimitedResource.OpenFiles, before with { Soft = before.Soft - 1 });
        Assert.Equal(before.Soft - 1, ResourceLimit.Get(LimitedResource.OpenFiles).Soft);
        ResourceLimit.Set(LimitedResource.OpenFiles, before);
    }

    private static CancellationToken Limit() => new CancellationTokenSource(TimeSpan.FromSeconds(20)).Token;
}
