using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Vms;

namespace Exitless.ControlPlane.Link;

/// <summary>A VM of a host's own copy, as a row again: <see cref="WantedStateReader"/> turned round.</summary>
internal static class StoredVm
{
    /// <param name="before">What the database knew of it; null: nothing.</param>
    public static VmRow Row(Guid id, HostRow host, string name, WantedVm vm, VmRow? before, DateTimeOffset now)
    {
        var row = new VmRow
        {
            Id = id,
            HostId = host.Id,
            Name = name,
            // The host does not know of projects.
            ProjectId = before?.ProjectId ?? ProjectDto.DefaultId,
            Vcpus = (int)vm.Vcpus,
            MemoryMib = (int)vm.MemoryMib,
            Kernel = LinkMapping.Clean(vm.Kernel),
            Initrd = LinkMapping.Text(vm.Initrd),
            CommandLine = LinkMapping.Clean(vm.CommandLine),
            StopSeconds = (int)vm.StopSeconds,
            Interrupts = vm.Interrupts switch
            {
                Contracts.InterruptPolicy.Posted => Api.InterruptPolicy.Posted,
                Contracts.InterruptPolicy.Eli => Api.InterruptPolicy.Eli,
                Contracts.InterruptPolicy.Injected => Api.InterruptPolicy.Injected,
                _ => Api.InterruptPolicy.Auto,
            },
            GuestCounts = vm.GuestCounts,
            Switches = [.. vm.Switches.Select(Switch)],
            // The copy does not say when; its id does.
            CreatedAt = before?.CreatedAt ?? TimedId.MadeAt(id) ?? now,
            Desired = vm.Run switch { WantedRun.Running => DesiredRun.Running, WantedRun.Off => DesiredRun.Off, _ => DesiredRun.Stopped },
            Generation = (long)vm.Generation,
        };
        row.Devices.AddRange(vm.Devices.DistinctBy(d => d.Address).Select((d, i) => new VmDeviceRow { VmId = id, HostId = host.Id, Address = LinkMapping.Clean(d.Address), Mac = LinkMapping.Text(d.Mac), Position = i }));
        return row;
    }

    private static Api.InterruptSwitch Switch(Contracts.InterruptSwitch one) => new(
        one.Assisted ? InterruptPath.Assisted : one.Injected ? InterruptPath.Injected : InterruptPath.Best,
        LinkMapping.Text(one.Address), one.HasVector ? (int)one.Vector : null);
}
