using System.Globalization;

namespace Exitless.Agent.Doctor.Checks;

/// <summary>PFs, and the drivers of their VFs.</summary>
internal static class SriovChecks
{
    public static void Run(HostFacts host, Findings findings)
    {
        var pfs = host.Functions.Where(f => f.TotalVfs > 0).ToList();
        if (pfs.Count == 0)
        {
            findings.Info("sriov", "No device has SR-IOV: a VM gets whole devices only", host.Processor.IsGuest ? Remedy.None : Remedy.AtBoot("Firmware: turn on SR-IOV support, where a card has it."),
                Findings.Saw("/sys/bus/pci/devices/*/sriov_totalvfs", null));
            return;
        }
        findings.Ok("sriov", string.Create(CultureInfo.InvariantCulture, $"{pfs.Count} function(s) with SR-IOV, {pfs.Sum(p => p.NumVfs)} VFs"), pfs.Select(p => Findings.Saw(p.Folder + "/sriov_totalvfs", p.TotalVfs.ToString(CultureInfo.InvariantCulture))));
        if (host.Log.Find("not enough MMIO resources for SR-IOV") is { } line)
            findings.Warning("sriov-resources", "The firmware left no room for VFs' registers", Remedy.AtBoot("Firmware: turn on Above 4G Decoding and SR-IOV support."), line);
        var trouble = false;
        foreach (var pf in pfs)
            trouble |= VfDriver(host, findings, pf);
        if (!trouble && pfs.Any(p => p.NumVfs > 0))
            findings.Ok("vf-driver", "No VF is held by a driver of the host's", host.Functions.Where(f => f.Pf is not null).Select(f => Findings.Saw(f.Folder + "/driver", f.Driver)));
    }

    private static bool VfDriver(HostFacts host, Findings findings, HostFunction pf)
    {
        if (pf.Driver is null)
        {
            findings.Add("vf-driver", pf.Address, Severity.Warning, $"{pf.Address} has no driver, so it can have no VFs", Remedy.Now($"echo {pf.Address} > /sys/bus/pci/drivers_probe"), Findings.Saw(pf.Folder + "/driver", null));
            return true;
        }
        var held = host.Functions.Where(f => f.Pf == pf.Address && f.Driver is not null and not "vfio-pci").ToList();
        if (held.Count == 0)
            return false;
        findings.Add("vf-driver", pf.Address, Severity.Info, $"The host's own driver {held[0].Driver} holds {held.Count} of {pf.NumVfs} VFs; a VM that starts takes its VF away from it",
            pf.AutoProbe == false ? Remedy.Now(string.Join(" && ", held.Select(h => $"echo {h.Address} > /sys/bus/pci/devices/{h.Address}/driver/unbind")))
                : Remedy.Now($"echo 0 > /sys/bus/pci/devices/{pf.Address}/sriov_drivers_autoprobe   # for VFs that are made from then on"),
            held.Select(h => Findings.Saw(h.Folder + "/driver", h.Driver)));
        return true;
    }
}
