namespace Exitless.Vmm.Acpi;

/// <summary>Which pins of the IOAPIC the interrupt pins of PCI devices reach: 16 to 23, turned by one from slot to slot so that neighbours share none.</summary>
internal static class PciPins
{
    private const int First = 16, Count = 8, PinsOfSlot = 4;

    /// <param name="slot">The device's slot.</param>
    /// <param name="pin">1 for INTA to 4 for INTD, as in configuration space.</param>
    public static int Gsi(int slot, int pin) => First + ((slot + pin - 2) & (Count - 1));

    /// <summary>The routing table of the host bridge (_PRT; ACPI 6.5, section 6.2.13).</summary>
    public static byte[] Table(int slots)
    {
        var entries = new List<byte[]>();
        for (var slot = 1; slot < slots; slot++)
        {
            for (var pin = 1; pin <= PinsOfSlot; pin++)
                entries.Add(Aml.PackageOf(Aml.Integer(((ulong)slot << 16) | 0xffff), Aml.Integer((ulong)pin - 1), Aml.Integer(0), Aml.Integer((ulong)Gsi(slot, pin))));
        }
        return Aml.PackageOf([.. entries]);
    }
}
