using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Hosts;

/// <summary>What must hold before a PF's VFs are changed. Changing their number removes them all first (Documentation/PCI/pci-iov-howto.rst), so none may be in use.</summary>
internal static class VfRules
{
    private const string Title = "The VFs cannot be changed.";

    public static ProblemException NoDevice(HostRow host, string address) => ProblemException.ForField(
        ProblemKind.NotFound, "device-not-found", "Device not found.", "address", $"{host.Name} has no PCI device '{address}'.", $"Take an address from /api/v1/hosts/{host.Id:D}/devices, such as 0000:01:00.0.");

    public static void Check(HostRow host, string address, int count, IReadOnlyList<DeviceRow> devices, Dictionary<string, VmReferenceDto> owners)
    {
        if (HostRules.Refusal(host) is { } refusal)
            throw new ProblemException(ProblemKind.Conflict, refusal.Code, Title, refusal.Detail, refusal.Remedy);
        var pf = devices.FirstOrDefault(d => d.Address == address)
            ?? throw NoDevice(host, address);
        if (pf.PfAddress is { } parent)
            throw ProblemException.ForField(ProblemKind.Invalid, "device-is-vf", Title, "address", $"{address} is itself a VF, of {parent}.", $"Ask for the VFs of {parent}.");
        if (pf.Facts.TotalVfs == 0)
            throw ProblemException.ForField(ProblemKind.Invalid, "no-sriov", Title, "address", $"{address} ({pf.Facts.Name}) has no SR-IOV capability.", "Take a PF with 'totalVfs' above 0. If the device should have the capability, enable SR-IOV in its firmware and the machine's.");
        if (count < 0 || count > pf.Facts.TotalVfs)
            throw ProblemException.ForField(ProblemKind.Invalid, "vf-count-out-of-range", Title, "count", $"{count} is not between 0 and {pf.Facts.TotalVfs}, the most that {address} can have (sriov_totalvfs).");
        var vfs = devices.Where(d => d.PfAddress == address).ToList();
        if (vfs.FirstOrDefault(v => owners.ContainsKey(v.Address)) is { } owned)
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "vf-owned", Title, "count", $"The VM '{owners[owned.Address].Name}' owns the VF {owned.Address}, and a change of their number removes all VFs of {address} first.",
                $"Delete the VM '{owners[owned.Address].Name}' first.");
        }
        if (vfs.FirstOrDefault(v => v.Facts.InUse is not null) is { } used)
            throw ProblemException.ForField(ProblemKind.Conflict, "vf-in-use", Title, "count", $"The host itself uses the VF {used.Address}: {used.Facts.InUse}.", "Free it on the host first.");
    }
}
