using Exitless.Vmm.Devices;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Acpi;

/// <summary>The differentiated system description: PCI host bridge with its slots and pins, serial port, panic port, power button, and how to switch off.</summary>
internal static class Dsdt
{
    /// <summary>The SLP_TYP value of S5, written to the sleep control register.</summary>
    public const byte SleepTypeOff = 5;

    /// <summary>The GSI of the generic event device, which carries the power button.</summary>
    public const int EventGsi = 5;

    public const int SerialGsi = 4;
    public const ushort SerialPort = 0x3f8;

    /// <summary>The AML of the table.</summary>
    /// <param name="mmio64">The window for BARs above 4 GiB; null for none.</param>
    public static byte[] Body((ulong Start, ulong End)? mmio64)
    {
        byte[][] window = mmio64 is { } w ? [AcpiResource.Memory64(w.Start, w.End)] : [];
        return
        [
            .. Aml.Scope("\\_SB",
                Aml.Device("PC00",
                    Aml.Name("_HID", Aml.EisaId("PNP0A08")), Aml.Name("_CID", Aml.EisaId("PNP0A03")), Aml.Name("_SEG", Aml.Integer(0)), Aml.Name("_UID", Aml.Integer(0)),
                    Aml.Name("_BBN", Aml.Integer(0)), Aml.Name("_CCA", Aml.Integer(1)),
                    Aml.Name("_CRS", Aml.Resources([AcpiResource.BusNumbers(0, 0), AcpiResource.Ports(0xcf8, 8), AcpiResource.PortWindow(BarPlacement.FirstPort, (ushort)(BarPlacement.FirstPort + BarPlacement.Ports - 1)),
                        AcpiResource.Memory32((uint)MemoryMap.Mmio32, (uint)MemoryMap.Mmio32End), .. window])),
                    Aml.Name("_PRT", PciPins.Table(PciBus.Slots)),
                    PciHotplug.Terms()),
                Aml.Device("MBRD",
                    Aml.Name("_HID", Aml.EisaId("PNP0C02")), Aml.Name("_UID", Aml.Integer(0)),
                    Aml.Name("_CRS", Aml.Resources(AcpiResource.FixedMemory((uint)MemoryMap.Ecam, (uint)MemoryMap.EcamSize)))),
                Aml.Device("COM1",
                    Aml.Name("_HID", Aml.EisaId("PNP0501")), Aml.Name("_UID", Aml.Integer(0)),
                    Aml.Name("_CRS", Aml.Resources(AcpiResource.Ports(SerialPort, 8), AcpiResource.EdgeInterrupt(SerialGsi)))),
                Aml.Device("PEVT",
                    Aml.Name("_HID", Aml.Text("QEMU0001")), Aml.Name("_UID", Aml.Integer(0)),
                    Aml.Name("_CRS", Aml.Resources(AcpiResource.Ports(PanicPort.Port, 1)))),
                Aml.Device("PWRB", Aml.Name("_HID", Aml.EisaId("PNP0C0C")), Aml.Name("_UID", Aml.Integer(0))),
                Aml.Device("GED_",
                    Aml.Name("_HID", Aml.Text("ACPI0013")), Aml.Name("_UID", Aml.Integer(0)),
                    Aml.Name("_CRS", Aml.Resources(AcpiResource.EdgeInterrupt(EventGsi), AcpiResource.EdgeInterrupt(PciHotplug.Gsi))),
                    Aml.Method("_EVT", 1,
                        Aml.If(Aml.AreEqual(Aml.Argument(0), Aml.Integer(EventGsi)), Aml.Notify("\\_SB.PWRB", 0x80)),
                        Aml.If(Aml.AreEqual(Aml.Argument(0), Aml.Integer(PciHotplug.Gsi)), Aml.Call(PciHotplug.Scan))))),
            .. Aml.Name("\\_S5_", Aml.PackageOf(Aml.Integer(SleepTypeOff), Aml.Integer(0), Aml.Integer(0), Aml.Integer(0))),
        ];
    }
}
