using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Link;

/// <summary>Takes a host's whole inventory: facts, capabilities, and its devices, of which those that are gone go.</summary>
internal sealed class InventoryIntake(ChangeRunner runner)
{
    public Task TakeAsync(Guid hostId, Inventory inventory, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host)
            return;
        host.Facts = LinkMapping.Facts(inventory);
        host.Capabilities = LinkMapping.Capabilities(inventory);
        var known = await db.Devices.Where(d => d.HostId == hostId).ToDictionaryAsync(d => d.Address, StringComparer.Ordinal, ct);
        foreach (var device in inventory.Devices.Where(d => PciAddress.IsValid(d.Address)).DistinctBy(d => d.Address, StringComparer.Ordinal))
        {
            var facts = LinkMapping.Device(device);
            var pf = LinkMapping.Text(device.PfAddress);
            if (known.Remove(device.Address, out var row))
                (row.Facts, row.PfAddress) = (facts, pf);
            else
                db.Devices.Add(new DeviceRow { HostId = hostId, Address = device.Address, Facts = facts, PfAddress = pf });
        }
        db.Devices.RemoveRange(known.Values);
        changes.Announce(ChangeKind.Host, hostId);
    }, ct);
}
