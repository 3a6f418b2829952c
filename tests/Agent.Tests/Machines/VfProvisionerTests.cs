using Exitless.Agent.Events;
using Exitless.Agent.Sriov;
using Exitless.Agent.Tests.Trees;

namespace Exitless.Agent.Tests.Machines;

public sealed class VfProvisionerTests : IDisposable
{
    private const string NumVfs = "/sriov_numvfs";
    private readonly RecordedHost _host = new();
    private readonly VfProvisioner _provisioner;

    public VfProvisionerTests() =>
        _provisioner = new VfProvisioner(_host.Root, _host.Netlink, _host.Claims, _host.Uses, new EventLog(new AsyncSignal(), TimeProvider.System), TimeProvider.System);

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task The_right_number_needs_nothing()
    {
        await _provisioner.ConvergeAsync(RecordedHost.Pf, 2, _ => Assert.Fail("There is no step."));
        Assert.Equal("1\n", _host.Text(RecordedHost.Device(RecordedHost.Pf) + "/sriov_drivers_autoprobe"));
    }

    [Fact]
    public Task Unknown_PF() => RefusedAsync("0000:09:00.0", 2, "device-not-found", "0000:09:00.0");

    [Fact]
    public Task PF_without_SRIOV() => RefusedAsync(RecordedHost.Gpu, 2, "pf-without-sriov", "no SR-IOV capability");

    [Fact]
    public Task VF_as_PF() => RefusedAsync(RecordedHost.Vf0, 2, "pf-without-sriov", "itself a VF");

    [Fact]
    public Task Too_many_VFs() => RefusedAsync(RecordedHost.Pf, 8, "too-many-vfs", "at most 7");

    [Fact]
    public Task PF_without_driver()
    {
        _host.SetDriver(RecordedHost.Pf, null);
        return RefusedAsync(RecordedHost.Pf, 4, "pf-without-driver", "No driver");
    }

    [Fact]
    public Task VF_of_a_VM()
    {
        _host.Claims.Take("vm", "database", [RecordedHost.Vf1]);
        return RefusedAsync(RecordedHost.Pf, 0, "vf-in-use", "database");
    }

    [Fact]
    public Task VF_of_the_host()
    {
        _host.AddNet("eth2", RecordedHost.Vf1, 5, null);
        _host.Netlink.Routes[_host.ControlPlane[0]] = 5;
        return RefusedAsync(RecordedHost.Pf, 4, "vf-in-use", "route to the control plane");
    }

    [Fact]
    public async Task A_number_that_brings_no_VFs_is_a_failure_in_words()
    {
        // A recorded tree takes any number and makes no VF, as a kernel short of address space does.
        _host.Delete(RecordedHost.Device(RecordedHost.Pf) + "/virtfn0");
        var steps = new List<string>();
        var failed = await Assert.ThrowsAsync<ProblemException>(() => _provisioner.ConvergeAsync(
            RecordedHost.Pf, 4, s => steps = [.. s.Select(x => $"{x.Name}: {x.State}")]));
        Assert.Equal("vf-creation-failed", failed.Problem.Code);
        Assert.Contains("0 VFs appeared", failed.Problem.Detail);
        Assert.Equal(["Keep the host's drivers off the VFs: Done", "Bring up eth1: Done", "Remove 2 VFs: Done", "Create 4 VFs: Failed"], steps);
        Assert.Equal(["up 3"], _host.Netlink.Changes);
    }

    private async Task RefusedAsync(string pf, int number, string code, string says)
    {
        var before = _host.Text(RecordedHost.Device(RecordedHost.Pf) + NumVfs);
        var refused = await Assert.ThrowsAsync<ProblemException>(() => _provisioner.ConvergeAsync(pf, number, _ => Assert.Fail("Nothing is begun.")));
        Assert.Equal(code, refused.Problem.Code);
        Assert.Contains(says, refused.Problem.Detail);
        Assert.NotEmpty(refused.Problem.Remedy);
        Assert.Equal(before, _host.Text(RecordedHost.Device(RecordedHost.Pf) + NumVfs));
        Assert.Equal("1\n", _host.Text(RecordedHost.Device(RecordedHost.Pf) + "/sriov_drivers_autoprobe"));
        Assert.Empty(_host.Netlink.Changes);
    }
}
