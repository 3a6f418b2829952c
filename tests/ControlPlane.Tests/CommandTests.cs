using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests;

public sealed class CommandTests(TestHost host) : IClassFixture<TestHost>
{
    [Theory]
    [InlineData("back-up")]
    [InlineData("backup")]
    [InlineData("restore", "--from")]
    public async Task A_command_that_cannot_be_read_is_refused_and_starts_no_control_plane(params string[] command)
    {
        Assert.Equal(1, await host.CommandAsync(command));
    }

    [Fact]
    public async Task Help_is_given_beside_a_running_control_plane()
    {
        Assert.Equal(0, await host.CommandAsync("--help"));
    }
}
