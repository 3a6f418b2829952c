using Exitless.Agent.Foreground;
using Exitless.Agent.Machines;
using Exitless.Linux;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.Machines;

public sealed class PlannedTapTests
{
    [Theory]
    [InlineData("")]
    [InlineData("..")]
    [InlineData("a name")]
    [InlineData("a/b")]
    [InlineData("tap%d")]
    [InlineData("sixteen-bytes-or")]
    public void A_name_that_the_kernel_would_refuse_is_refused_before(string name)
    {
        var problem = Assert.Throws<ProblemException>(() => new PlannedTap(name, "networks[0].tap").Check([])).Problem;
        Assert.Equal(("tap-name-invalid", "networks[0].tap"), (problem.Code, problem.Field));
        Assert.Contains($"`{name}`", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void A_description_names_an_interface_for_each_link()
    {
        var kernel = Environment.ProcessPath!;
        var spec = Read($$"""{ "kernel": "{{kernel}}", "networks": [ { "tap": "guest0", "mac": "52:54:00:00:00:01" }, { "tap": "guest1", "mac": "52:54:00:00:00:02" } ] }""");
        Assert.Equal(["guest0", "guest1"], spec.Taps.Select(t => t.Name));
        Assert.Equal(["52:54:00:00:00:01", "52:54:00:00:00:02"], spec.Config.Networks.Select(n => n.Mac));
        Assert.Equal("tap-twice", Refused($$"""{ "kernel": "{{kernel}}", "networks": [ { "tap": "guest0", "mac": "52:54:00:00:00:01" }, { "tap": "guest0", "mac": "52:54:00:00:00:02" } ] }"""));
        Assert.Equal("tap-name-invalid", Refused($$"""{ "kernel": "{{kernel}}", "networks": [ { "mac": "52:54:00:00:00:01" } ] }"""));
        Assert.Equal("spec-invalid", Refused($$"""{ "kernel": "{{kernel}}", "networks": [ { "tap": "guest0" } ] }"""));
    }

    [Fact]
    public void A_host_without_them_is_told_what_to_load()
    {
        using var folder = new TemporaryFolder();
        var problem = Assert.Throws<ProblemException>(() => PlannedTap.CheckHost(new HostRoot(folder.Path))).Problem;
        Assert.Equal("no-tun", problem.Code);
        Assert.Contains("modprobe tun", problem.Remedy, StringComparison.Ordinal);
    }

    private static BootSpec Read(string text) => BootSpec.Parse(text, "name", new FakeTimeProvider());

    private static string Refused(string text) => Assert.Throws<ProblemException>(() => Read(text)).Problem.Code;
}
