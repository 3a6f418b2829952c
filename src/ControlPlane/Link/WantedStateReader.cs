using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Link;

/// <summary>Reads all that is wanted of a host, at one generation, and notes that the host is about to be told.</summary>
internal sealed class WantedStateReader(ChangeRunner runner)
{
    /// <summary>The wanted state when it is newer than <paramref name="sent"/>; else null.</summary>
    public Task<WantedState?> TakeAsync(Guid hostId, long sent, CancellationToken ct) => runner.RunAsync<WantedState?>(async (db, _) =>
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host || host.WantedGeneration <= sent)
            return null;
        var state = new WantedState { Generation = (ulong)host.WantedGeneration };
        foreach (var vm in await db.Vms.AsNoTracking().Include(v => v.Devices.OrderBy(d => d.Position)).Where(v => v.HostId == hostId && !v.Deleting).OrderBy(v => v.Id).ToListAsync(ct))
        {
            var wanted = new WantedVm
            {
                VmId = vm.Id.ToString("D"),
                Generation = (ulong)vm.Generation,
                Name = vm.Name,
                Vcpus = (uint)vm.Vcpus,
                MemoryMib = (uint)vm.MemoryMib,
                Kernel = vm.Kernel,
                Initrd = vm.Initrd ?? "",
                CommandLine = vm.CommandLine,
                StopSeconds = (uint)vm.StopSeconds,
                Interrupts = vm.Interrupts switch
                {
                    Api.InterruptPolicy.Auto => Contracts.InterruptPolicy.Auto,
                    Api.InterruptPolicy.Posted => Contracts.InterruptPolicy.Posted,
                    Api.InterruptPolicy.Eli => Contracts.InterruptPolicy.Eli,
                    Api.InterruptPolicy.Injected => Contracts.InterruptPolicy.Injected,
                },
                GuestCounts = vm.GuestCounts,
                Run = vm.Desired switch { DesiredRun.Running => WantedRun.Running, DesiredRun.Stopped => WantedRun.Stopped, DesiredRun.Off => WantedRun.Off },
            };
            wanted.Devices.AddRange(vm.Devices.Select(d => new WantedDevice { Address = d.Address, Mac = d.Mac ?? "" }));
            foreach (var one in vm.Switches)
            {
                var position = new Contracts.InterruptSwitch { Address = one.Device ?? "", Injected = one.Path is InterruptPath.Injected or InterruptPath.Assisted, Assisted = one.Path == InterruptPath.Assisted };
                if (one.Vector is { } vector)
                    position.Vector = (uint)vector;
                wanted.Switches.Add(position);
            }
            state.Vms.Add(wanted);
        }
        foreach (var pf in await db.Pfs.AsNoTracking().Where(p => p.HostId == hostId).OrderBy(p => p.Address).ToListAsync(ct))
            state.Pfs.Add(new WantedPf { Address = pf.Address, Generation = (ulong)pf.Generation, NumVfs = (uint)pf.NumVfs });
        host.OfferedGeneration = Math.Max(host.OfferedGeneration, host.WantedGeneration);
        return state;
    }, ct);
}
