using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Acpi;

/// <summary>
/// The guest's half of hot-plug: a device object for each slot that the guest can eject, and a method that tells the guest's PCI driver which slots
/// have changed (ACPI 6.5, sections 5.6.6 and 6.3). The VMM's half is <see cref="HotplugController"/>.
/// </summary>
internal static class PciHotplug
{
    /// <summary>The GSI of the event that says that a slot has changed.</summary>
    public const int Gsi = 6;

    /// <summary>The method that the event calls.</summary>
    public const string Scan = "\\_SB.PC00.PSCN";

    private const byte DeviceCheck = 1, EjectRequest = 3;

    /// <summary>What belongs into the host bridge's object.</summary>
    public static byte[] Terms()
    {
        var terms = new List<byte>();
        terms.AddRange(Aml.PortRegion("PHPR", HotplugController.Port, HotplugController.Ports));
        // Both bitmaps are empty once they are read, so each change is told once.
        terms.AddRange(Aml.Fields("PHPR", ("PCIU", 32), ("PCID", 32), ("PCEJ", 32)));
        for (var slot = 1; slot < PciBus.Slots; slot++)
        {
            terms.AddRange(Aml.Device(Name(slot),
                Aml.Name("_ADR", Aml.Integer((ulong)slot << 16)), Aml.Name("_SUN", Aml.Integer((ulong)slot)),
                Aml.Method("_EJ0", 1, Aml.Store(Aml.Integer(1UL << slot), Aml.Path("PCEJ")))));
        }
        terms.AddRange(Aml.Method("PNTF", 2, [.. Enumerable.Range(1, PciBus.Slots - 1).Select(slot =>
            Aml.If(Aml.And(Aml.Argument(0), Aml.Integer(1UL << slot)), Aml.Notify(Name(slot), Aml.Argument(1))))]));
        terms.AddRange(Aml.Method("PSCN", 0,
            Aml.Store(Aml.Path("PCIU"), Aml.Local(0)), Aml.Store(Aml.Path("PCID"), Aml.Local(1)),
            Aml.Call("PNTF", Aml.Local(0), Aml.Integer(DeviceCheck)), Aml.Call("PNTF", Aml.Local(1), Aml.Integer(EjectRequest))));
        return [.. terms];
    }

    private static string Name(int slot) => $"S{slot:D2}_";
}
