using Exitless.Agent.Machines;

namespace Exitless.Agent.Tests.Machines;

public sealed class VmmLauncherTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void VMs_run_from_the_file_beside_the_agents_and_from_the_agents_own_where_there_is_none()
    {
        var agent = _folder.File("exitless-agent");
        Assert.Equal(agent, VmmLauncher.ProgramBeside(agent));
        File.WriteAllText(_folder.File("exitless-vmm"), "");
        Assert.Equal(_folder.File("exitless-vmm"), VmmLauncher.ProgramBeside(agent));
    }
}
