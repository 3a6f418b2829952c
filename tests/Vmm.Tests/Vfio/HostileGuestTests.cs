using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>A guest that writes anything anywhere: nothing throws, no irqfd is ever without its one route, no BAR is reachable while its device does not answer.</summary>
public class HostileGuestTests
{
    private static readonly int[] TellingRegisters = [0x04, 0x05, 0x10, 0x14, 0x1c, 0x20, 0x24, 0x30, 0x3c, 0x44, 0x52, 0x54, 0x5c, 0x70, 0x72, 0x73, 0xa8, 0xa9, 0xb4, 0x100, 0x150];
    private static readonly int[] Sizes = [1, 2, 4, 8];
    private static readonly uint[] TellingValues = [0, 1, 2, 3, 6, 7, 0x31, 0x8000, 0xc000, 0x8000_0000, 0xc000_0000, 0xfee0_0000, 0xc000_4000, 0xd000_0000, 0x4000_0000, 0xffff_ffff];

    private static readonly Gen<(int Kind, int Place, int Size, uint Value)> Act = Gen.Select(
        Gen.Int[0, 10], Gen.OneOf(Gen.Int[0, 4095], Pick(TellingRegisters)), Pick(Sizes), Gen.OneOf(Gen.UInt, Pick(TellingValues)));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Anything_goes_and_nothing_breaks(bool grows) => Act.Array[1, 120].Sample(acts => Play(grows, acts), iter: 150, threads: 1);

    [Fact]
    public void Short_attacks_by_the_thousand_break_nothing_either() => Act.Array[1, 16].Sample(acts => Play(acts.Length % 2 == 0, acts), iter: FuzzRuns.Count, threads: 1);

    private static void Play(bool grows, (int Kind, int Place, int Size, uint Value)[] acts)
    {
        using var machine = new AssignedMachine(
            device =>
            {
                device.MsixGrows = grows;
                // Power management, MSI, MSI-X, PCI Express and Advanced Features; a pin, a ROM and a BAR of ports.
                (device.IntxCount, device.MsiCount) = (1, 8);
                device.Word(0x34, 0x40);
                device.Word(0x3c, 0x0100);
                device.Word(0x40, 0xfe03_5001);
                device.Word(0x50, 0x0186_7005);
                device.Word(0xa0, 0x0002_b010);
                device.Word(0xb0, 0x0306_0013);
                device.Word(0x24, 1);
                device.SetBar(5, 0x20, mappable: false);
                device.SetRom(0x1000);
            },
            peers: true);
        var ports = new PciPorts(machine.Bus, new ResetControl(new GuestEnd()));
        var window = new PciIoWindow(machine.Bus);
        machine.EnableMsix();
        foreach (var act in acts)
        {
            if (act.Kind == 10)
                PerformOnPorts(machine, window, act);
            else
                Perform(machine, ports, act);
            machine.AssertSound();
        }
    }

    private static void PerformOnPorts(AssignedMachine machine, PciIoWindow window, (int Kind, int Place, int Size, uint Value) act)
    {
        var size = Math.Min(act.Size, 4);
        if ((act.Value & 1) == 0)
            window.WritePort(act.Place, size, act.Value);
        else
            _ = window.ReadPort(act.Place, size);
        machine.Device.Settle();
    }

    private static Gen<T> Pick<T>(T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static void Perform(AssignedMachine machine, PciPorts ports, (int Kind, int Place, int Size, uint Value) act)
    {
        var (kind, place, size, value) = act;
        switch (kind)
        {
            case 0 or 1:
                machine.Write(place, value, size);
                break;
            case 2:
                machine.ReadMemory(MemoryMap.Ecam + (ulong)(place * 257), size);
                break;
            case 3 or 4 or 5:
                // The table: small offsets, where its three entries are; often a plain unmasking.
                var offset = kind == 5 ? (ulong)(((place % 3) * 16) + 12) : (ulong)(place % 56);
                machine.WriteMemory(Bar(machine, 3) + offset, kind == 5 ? value & 1 : value | ((ulong)value << 32), kind == 5 ? 4 : size);
                break;
            case 6:
                machine.ReadMemory(Bar(machine, (place & 1) * 3) + (ulong)place + (value & 0x3fff), size);
                break;
            case 7:
                machine.Hardware.Fire(place % 3);
                machine.Kvm.Deliver();
                break;
            case 8:
                machine.Hardware.RefuseMsix = (value & 3) == 0 ? Errno.NoSpace : 0;
                machine.Kvm.RefuseSlots = (value & 4) != 0;
                machine.Kvm.RefuseIrqfds = (value & 0x18) == 0;
                break;
            default:
                ports.WritePort(place & 7, Math.Min(size, 4), value);
                _ = ports.ReadPort(place & 7, Math.Min(size, 4));
                break;
        }
    }

    private static ulong Bar(AssignedMachine machine, int index) => (machine.Read(0x10 + (index * 4)) & ~0xful) | ((ulong)machine.Read(0x14 + (index * 4)) << 32);
}
