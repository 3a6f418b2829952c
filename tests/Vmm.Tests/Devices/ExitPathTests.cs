using Exitless.Linux;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Devices;

/// <summary>What a vCPU thread does between two runs of the guest leaves no garbage, so no collection ever stops a vCPU for it.</summary>
public sealed class ExitPathTests
{
    [Fact]
    public void Serving_exits_allocates_nothing()
    {
        using var interrupt = new EventFd();
        var end = new GuestEnd();
        var pci = new PciBus();
        var serial = new SerialPort(new ConsoleRing(() => { }), interrupt);
        var ports = new PortBus();
        ports.Add(0x3F8, SerialPort.Ports, serial);
        ports.Add(PciPorts.First, PciPorts.Count, new PciPorts(pci, new ResetControl(end)));
        ports.Add(AcpiSleep.ControlPort, 2, new AcpiSleep(end));
        ports.Add(KeyboardController.Port, 1, new KeyboardController(end));
        ports.Add(Cmos.Port, 2, new Cmos());
        var mmio = new MmioBus(pci);

        Serve(ports, mmio, serial);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
            Serve(ports, mmio, serial);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.False(end.Asked);
    }

    [Fact]
    public void The_measure_sees_an_allocation()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        GC.KeepAlive(new byte[100]);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 100, 1000);
    }

    private static void Serve(PortBus ports, MmioBus mmio, SerialPort serial)
    {
        Span<byte> data = stackalloc byte[16];
        for (ushort register = 0; register < 8; register++)
        {
            data.Fill(0x0F);
            ports.Access((ushort)(0x3F8 + register), 1, isWrite: true, data[..1]);
            ports.Access((ushort)(0x3F8 + register), 1, isWrite: false, data[..1]);
        }
        serial.TryReceive("x"u8);
        // Configuration mechanism 1: register 0 of the host bridge, and a slot that is empty.
        foreach (var slot in (ReadOnlySpan<byte>)[0, 0x20])
        {
            (data[0], data[1], data[2], data[3]) = (0, slot, 0, 0x80);
            ports.Access(0xCF8, 4, isWrite: true, data[..4]);
            ports.Access(0xCFC, 4, isWrite: false, data[..4]);
            ports.Access(0xCFC, 2, isWrite: true, data[..2]);
        }
        data.Clear();
        ports.Access(AcpiSleep.ControlPort, 1, isWrite: true, data[..1]);
        ports.Access(KeyboardController.Port, 1, isWrite: false, data[..1]);
        ports.Access(Cmos.Port, 1, isWrite: true, data[..1]);
        ports.Access(0x80, 1, isWrite: true, data[..1]);
        foreach (var size in (ReadOnlySpan<byte>)[1, 2, 4, 8])
        {
            mmio.Access(0xE000_0000, isWrite: false, data[..size]);
            mmio.Access(0xE000_0000, isWrite: true, data[..size]);
            mmio.Access(0xC000_0000, isWrite: false, data[..size]);
            mmio.Access(0xC000_0000, isWrite: true, data[..size]);
        }
    }
}
