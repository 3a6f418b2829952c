using System.Globalization;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Doctor;

/// <summary>One IOMMU unit.</summary>
/// <param name="Name">dmar‹n› (Intel) or ivhd‹n› (AMD).</param>
/// <param name="CanPost">It can post interrupts to a vCPU; null: its registers cannot be read.</param>
/// <param name="HasX2Apic">It can send interrupts to x2APIC ids; null: as above.</param>
/// <param name="Evidence">The register that says so.</param>
/// <param name="Devices">The functions it translates for, by address.</param>
internal sealed record IommuUnit(string Name, bool? CanPost, bool? HasX2Apic, Contracts.Evidence Evidence, IReadOnlyList<string> Devices)
{
    public bool IsAmd => Name.StartsWith("ivhd", StringComparison.Ordinal);

    /// <summary>AMD: AVIC may be used while SNP is on (EFR2, SNPAVICSup = 1).</summary>
    public bool? CanPostWithSnp { get; init; }
}

/// <summary>
/// The host's IOMMU units. Intel: bit 59 (PI) of the capability register and bit 4 (EIM) of the extended one (VT-d specification 11.4.2, 11.4.3;
/// Documentation/ABI/testing/sysfs-class-iommu-intel-iommu). AMD: bits 21 (GAMSup, guest virtual APIC), 7 (GASup) and 2 (XTSup) of the extended feature register and
/// bits 7-5 (SNPAVICSup) of the second one (AMD I/O Virtualization Technology 3.4.8, 3.4.13; sysfs-class-iommu-amd-iommu).
/// </summary>
internal static class IommuUnits
{
    public static IReadOnlyList<IommuUnit> Read(HostFiles files)
    {
        const string All = "/sys/class/iommu";
        var units = new List<IommuUnit>();
        foreach (var name in files.Names(All))
        {
            var folder = files.Resolve($"{All}/{name}");
            if (name.StartsWith("dmar", StringComparison.Ordinal))
                units.Add(Intel(files, name, folder));
            else if (name.StartsWith("ivhd", StringComparison.Ordinal))
                units.Add(Amd(files, name, folder));
        }
        return units;
    }

    private static IommuUnit Intel(HostFiles files, string name, string folder)
    {
        var (cap, extended) = (files.Hex(folder + "/intel-iommu/cap"), files.Hex(folder + "/intel-iommu/ecap"));
        var evidence = Findings.Saw($"/sys/class/iommu/{name}/intel-iommu/cap", Text(cap));
        return new IommuUnit(name, Bit(cap, 59), Bit(extended, 4), evidence, Devices(files, folder));
    }

    private static IommuUnit Amd(HostFiles files, string name, string folder)
    {
        var text = files.Text(folder + "/amd-iommu/features");
        // Kernels print EFR alone, then EFR2:EFR (5.13), then EFR:EFR2 (6.7); EFR is the larger one, its high bits are never all 0.
        var values = (text ?? "").Split(':').Select(HostFiles.ParseHex).OfType<ulong>().OrderDescending().ToArray();
        ulong? features = values.Length > 0 ? values[0] : null;
        ulong? second = values.Length > 1 ? values[1] : null;
        var evidence = Findings.Saw($"/sys/class/iommu/{name}/amd-iommu/features", text);
        return new IommuUnit(name, features is null ? null : Bit(features, 21) == true && Bit(features, 7) == true, Bit(features, 2), evidence, Devices(files, folder))
        {
            CanPostWithSnp = second is { } s ? (s >> 5 & 7) == 1 : null,
        };
    }

    private static IReadOnlyList<string> Devices(HostFiles files, string folder) => files.Names(folder + "/devices", n => PciFunction.IsAddress(n));

    private static bool? Bit(ulong? register, int bit) => register is { } value ? (value >> bit & 1) == 1 : null;

    private static string? Text(ulong? register) => register?.ToString("x", CultureInfo.InvariantCulture);
}
