using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Vms;

/// <summary>A VM as the create dialog holds it, before it is a request.</summary>
internal sealed class VmDraft
{
    public string Name { get; set; } = "";
    public HostDto? Host { get; set; }
    public string? Kernel { get; set; }
    /// <summary>Empty: none.</summary>
    public string Initrd { get; set; } = "";
    public string CommandLine { get; set; } = "console=ttyS0";
    public int Vcpus { get; set; } = 1;
    public int MemoryMib { get; set; } = 512;
    public InterruptPolicy Interrupts { get; set; }
    public bool GuestCounts { get; set; }
    public bool Start { get; set; } = true;
    public List<VfChoice> Vfs { get; } = [];

    /// <summary>Kernel images of the chosen host.</summary>
    public IReadOnlyList<string> Kernels => Images("kernel");

    /// <summary>Initrds of the chosen host.</summary>
    public IReadOnlyList<string> Initrds => Images("initrd");

    /// <summary>Changes the host; images and VFs are a host's own, so those of the old one are let go.</summary>
    public void ChooseHost(HostDto? host)
    {
        Host = host;
        Vfs.Clear();
        Kernel = Kernels.Count > 0 ? Kernels[0] : null;
        Initrd = Initrds.Count > 0 ? Initrds[0] : "";
    }

    public CreateVmRequest ToRequest() => new(
        Name.Trim(), Host?.Id ?? Guid.Empty, Kernel ?? "", Initrd.Length == 0 ? null : Initrd, CommandLine.Trim(), Vcpus, MemoryMib,
        [.. Vfs.Select(vf => new VmDeviceRequest(vf.Address, string.IsNullOrWhiteSpace(vf.Mac) ? null : vf.Mac.Trim()))], Start, Interrupts: Interrupts, GuestCounts: GuestCounts);

    private List<string> Images(string kind) =>
        [.. (Host?.Facts?.Images ?? []).Where(image => image.Kind == kind).Select(image => image.Name).Order(StringComparer.Ordinal)];
}

/// <summary>A VF that was picked, and the MAC address it shall have; null or empty: as it is.</summary>
public sealed class VfChoice(string address)
{
    /// <summary>PCI address.</summary>
    public string Address { get; } = address;
    /// <summary>MAC address to give it.</summary>
    public string? Mac { get; set; }
}
