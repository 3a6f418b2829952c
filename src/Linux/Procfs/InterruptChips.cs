namespace Exitless.Linux.Procfs;

/// <summary>Tells from the names of the interrupt chips whether interrupts are remapped.</summary>
/// <remarks>
/// The kernel puts "IR-" before the chip name of an I/O APIC, MSI or MSI-X domain whose parent is an IOMMU's remapping domain: "IR-IO-APIC", "IR-PCI-MSIX-0000:00:04.0".
/// That is so for Intel and AMD, and it is what VFIO's own test (isolated MSI) looks at. An I/O APIC line is there on every x86 machine (ACPI's interrupt at least).
/// </remarks>
public static class InterruptChips
{
    /// <summary>True: some chip is remapped. False: chips are named and none is. Null: no chip could be read.</summary>
    public static bool? AreRemapped(HostRoot root)
    {
        var any = false;
        foreach (var line in ProcFile.Lines(root.Proc("interrupts")))
        {
            if (line.Contains(" IR-", StringComparison.Ordinal))
                return true;
            any |= line.Contains("IO-APIC", StringComparison.Ordinal) || line.Contains("PCI-MSI", StringComparison.Ordinal);
        }
        return any ? false : null;
    }
}
