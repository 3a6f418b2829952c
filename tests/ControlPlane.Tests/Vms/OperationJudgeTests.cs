using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Operations;

namespace Exitless.ControlPlane.Tests.Vms;

public sealed class OperationJudgeTests
{
    private static readonly Guid Vm = Guid.CreateVersion7();

    [Theory]
    [InlineData(OperationKind.StartVm, 4, 4, VmState.Running, OperationState.Waiting)]
    [InlineData(OperationKind.StartVm, 5, 4, VmState.Running, OperationState.Running)]
    [InlineData(OperationKind.StartVm, 5, 5, VmState.Starting, OperationState.Running)]
    [InlineData(OperationKind.StartVm, 5, 5, VmState.Stopped, OperationState.Running)]
    [InlineData(OperationKind.StartVm, 5, 5, VmState.Running, OperationState.Done)]
    [InlineData(OperationKind.StartVm, 5, 5, VmState.Failed, OperationState.Failed)]
    [InlineData(OperationKind.StartVm, 5, 4, VmState.Failed, OperationState.Running)]
    [InlineData(OperationKind.CreateVm, 5, 5, VmState.Stopped, OperationState.Done)]
    [InlineData(OperationKind.CreateVm, 5, 5, VmState.Failed, OperationState.Failed)]
    [InlineData(OperationKind.StopVm, 5, 5, VmState.Stopping, OperationState.Running)]
    [InlineData(OperationKind.StopVm, 5, 5, VmState.Stopped, OperationState.Done)]
    [InlineData(OperationKind.ForceOffVm, 6, 6, VmState.Stopped, OperationState.Done)]
    [InlineData(OperationKind.ForceOffVm, 5, 4, VmState.Stopped, OperationState.Running)]
    [InlineData(OperationKind.DeleteVm, 5, 4, VmState.Stopped, OperationState.Running)]
    [InlineData(OperationKind.DeleteVm, 4, 4, VmState.Stopped, OperationState.Waiting)]
    public void A_vm_operation_stands_where_the_report_puts_it(OperationKind kind, long host, long vm, VmState state, OperationState verdict)
    {
        var observed = new ObservedHost(host, new Dictionary<Guid, ObservedVmFacts> { [Vm] = new(vm, state, null, [], null, null, null) }, new Dictionary<string, ObservedPfFacts>());
        Assert.Equal(verdict, OperationJudge.Judge(Row(kind), wantsRunning: false, wasUnderWay: false, observed).State);
    }

    [Fact]
    public void A_deleted_vm_is_done_when_the_host_no_longer_has_it()
    {
        var observed = new ObservedHost(5, new Dictionary<Guid, ObservedVmFacts>(), new Dictionary<string, ObservedPfFacts>());
        Assert.Equal(OperationState.Done, OperationJudge.Judge(Row(OperationKind.DeleteVm), false, false, observed).State);
        Assert.Equal(OperationState.Waiting, OperationJudge.Judge(Row(OperationKind.DeleteVm), false, false, observed with { Generation = 4 }).State);
    }

    [Fact]
    public void A_failure_without_words_gets_some()
    {
        var observed = new ObservedHost(5, new Dictionary<Guid, ObservedVmFacts> { [Vm] = new(5, VmState.Failed, null, [], null, null, null) }, new Dictionary<string, ObservedPfFacts>());
        Assert.Equal("unexplained", OperationJudge.Judge(Row(OperationKind.StartVm), false, false, observed).Problem?.Code);
    }

    private static OperationRow Row(OperationKind kind) => new()
    {
        Id = Guid.CreateVersion7(),
        Kind = kind,
        State = OperationState.Waiting,
        HostId = Guid.CreateVersion7(),
        HostName = "h",
        VmId = Vm,
        VmName = "v",
        Generation = 5,
        RequestedBy = "t",
        CreatedAt = DateTimeOffset.UnixEpoch,
        ExpiresAt = DateTimeOffset.UnixEpoch,
    };
}
