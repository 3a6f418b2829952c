using Exitless.Lab.CommandLine;
using Exitless.Lab.Machine;

namespace Exitless.Lab.Tests.Machine;

public sealed class LabHostOptionsTests
{
    private static readonly LabHostOptions Plain = new() { Name = "h1" };

    public static TheoryData<string, LabHostOptions> Wrong => new()
    {
        { "`H 1`", Plain with { Name = "H 1" } },
        { "`../x`", Plain with { Name = "../x" } },
        { "4096 MiB", Plain with { MemoryMiB = 4096 } },
        { "256 MiB", Plain with { MemoryMiB = 256 } },
        { "0 CPUs", Plain with { Cpus = 0 } },
        { "40 bits", Plain with { AddressWidth = 40 } },
        { "9 SR-IOV NICs", Plain with { Nics = 9 } },
        { "/nonexistent/agent", Plain with { AgentPath = "/nonexistent/agent" } },
        { "/nonexistent/share", Plain with { ShareFolder = "/nonexistent/share" } },
        { "/nonexistent/file", Plain with { Files = [new LabFile("/nonexistent/file", "/x")] } },
        { "`x` is no absolute path", Plain with { Files = [new LabFile("/bin/sh", "x")] } },
        { "70000", Plain with { ServerPort = 70000 } },
        { "one of them is missing", Plain with { ServerPort = 7444, Token = "abc" } },
        { "no port", Plain with { Token = "abc", AuthorityFingerprint = "sha256:00" } },
        { "characters that neither can have", Plain with { ServerPort = 7444, Token = "a';reboot", AuthorityFingerprint = "sha256:00" } },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task What_cannot_be_built_is_refused_before_anything_is_touched(string named, LabHostOptions options)
    {
        using var folder = new TemporaryFolder();
        var problem = await Assert.ThrowsAsync<LabException>(() => LabHost.StartAsync(options with { RunRoot = folder.Path }, TestContext.Current.CancellationToken));
        Assert.Contains(named, problem.Problem);
        Assert.NotEmpty(problem.Remedy);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void A_run_folder_too_deep_for_a_socket_is_refused()
        => Assert.Contains("107", Assert.Throws<LabException>(() => RunFolder.Of("/" + new string('d', 100), "h1")).Problem);

    [Fact]
    public void Two_hosts_cannot_have_one_name()
    {
        using var root = new TemporaryFolder();
        var folder = RunFolder.Of(root.Path, "h1");
        Assert.False(folder.IsHeld());
        using (folder.Take())
        {
            File.WriteAllText(folder.Console, "running");
            Assert.Equal(["h1"], LabHost.Running(root.Path));
            Assert.Contains("runs already", Assert.Throws<LabException>(folder.Take).Problem);
            Assert.True(File.Exists(folder.Console));
        }
        Assert.Empty(LabHost.Running(root.Path));
        using var again = folder.Take();
        Assert.False(File.Exists(folder.Console));
    }

    [Fact]
    public async Task A_host_that_does_not_run_is_named()
    {
        using var root = new TemporaryFolder();
        var cancel = TestContext.Current.CancellationToken;
        Assert.Contains("No host h9", (await Assert.ThrowsAsync<LabException>(() => LabHost.ShellAsync(root.Path, "h9", "true", TimeSpan.FromSeconds(1), cancel))).Problem);
        Assert.Contains("No host h9", (await Assert.ThrowsAsync<LabException>(() => LabHost.StopAsync(root.Path, "h9", cancel))).Problem);
    }

    [Theory]
    [InlineData("/a/b:/c", "/a/b", "/c")]
    [InlineData("a:b:/c", "a:b", "/c")]
    public void Files_are_given_as_here_and_there(string text, string source, string target)
        => Assert.Equal(new LabFile(source, target), BootCommand.ReadFile(text));

    [Theory]
    [InlineData("/a/b")]
    [InlineData(":/c")]
    public void A_file_without_a_place_is_refused(string text)
        => Assert.Contains(text, Assert.Throws<LabException>(() => BootCommand.ReadFile(text)).Problem);
}
