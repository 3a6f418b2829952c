using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Devices;

/// <summary>How the guest switches itself off or resets, and that nothing else it writes does so.</summary>
public sealed class PlatformTests
{
    private readonly GuestEnd _end = new();

    [Fact]
    public void Soft_off_powers_off_and_other_sleep_types_do_not()
    {
        var sleep = new AcpiSleep(_end);
        for (uint type = 0; type < 8; type++)
        {
            sleep.WritePort(0, 1, type << 2);
            sleep.WritePort(1, 1, 0x20 | type << 2);
            if (type != 5)
                sleep.WritePort(0, 1, 0x20 | type << 2);
        }
        Assert.False(_end.Asked);
        Assert.Equal(0U, sleep.ReadPort(1, 1));
        sleep.WritePort(0, 1, 0x20 | 5 << 2);
        Assert.True(_end.Asked);
        Assert.Equal(VmEndReason.PowerOff, _end.First!.Value.Reason);
    }

    [Fact]
    public void The_keyboard_controller_resets_and_is_never_busy()
    {
        var keyboard = new KeyboardController(_end);
        Assert.Equal(0U, keyboard.ReadPort(0, 1));
        keyboard.WritePort(0, 1, 0xAA);
        Assert.False(_end.Asked);
        keyboard.WritePort(0, 1, 0xFE);
        Assert.Equal(VmEndReason.Reset, _end.First!.Value.Reason);
    }

    [Theory]
    [InlineData(0x06)]
    [InlineData(0x0E)]
    public void The_reset_control_register_resets_with_bit_2_only(uint value)
    {
        var ports = new PciPorts(new PciBus(), new ResetControl(_end));
        ports.WritePort(1, 1, value & ~4U);
        // A dword at 0xCF8 covers the register's address but is PCI's.
        ports.WritePort(0, 4, 0x8000_0000 | value << 8);
        ports.WritePort(0, 2, value << 8);
        Assert.False(_end.Asked);
        ports.WritePort(1, 1, value);
        Assert.Equal(VmEndReason.Reset, _end.First!.Value.Reason);
    }

    [Fact]
    public void The_first_to_end_the_guest_wins()
    {
        _end.Ask(VmEndReason.Reset, "first");
        _end.Ask(VmEndReason.PowerOff, "second");
        Assert.Equal((VmEndReason.Reset, "first"), _end.First);
    }

    [Fact]
    public void Cmos_holds_nothing()
    {
        var cmos = new Cmos();
        for (uint index = 0; index < 256; index++)
        {
            cmos.WritePort(0, 1, index);
            cmos.WritePort(1, 1, 0x55);
            Assert.Equal(0U, cmos.ReadPort(1, 1));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Ports_where_nobody_answers_read_all_ones(int size)
    {
        Span<byte> data = stackalloc byte[size * 3];
        new PortBus().Access(0x300, size, isWrite: false, data);
        Assert.Equal(-1, data.IndexOfAnyExcept(byte.MaxValue));
    }

    [Fact]
    public void A_string_instruction_hands_over_every_item()
    {
        using var interrupt = new EventFd();
        var console = new ConsoleRing(() => { });
        var bus = new PortBus();
        bus.Add(0x3F8, SerialPort.Ports, new SerialPort(console, interrupt));
        bus.Access(0x3F8, 1, isWrite: true, "many bytes"u8.ToArray());
        Assert.Equal(10, console.End);
    }

    [Fact]
    public void Configuration_ports_and_ecam_show_the_same_host_bridge()
    {
        var bus = new PciBus();
        var ports = new PciPorts(bus, new ResetControl(_end));
        var mmio = new MmioBus(bus);
        Span<byte> data = stackalloc byte[8];
        Assert.Equal(uint.MaxValue, ports.ReadPort(4, 4));
        for (var register = 0; register < 64; register += 4)
        {
            ports.WritePort(0, 4, 0x8000_0000 | (uint)register);
            mmio.Access(0xE000_0000 + (ulong)register, isWrite: false, data[..4]);
            Assert.Equal(ports.ReadPort(4, 4), ConfigSpace.FromBytes(data[..4]));
        }
        mmio.Access(0xE000_0000, isWrite: false, data);
        Assert.Equal(0x0008_1B36U, ConfigSpace.FromBytes(data[..4]));
        mmio.Access(0xE000_0000 + (1 << 15), isWrite: false, data);
        Assert.Equal(-1, data.IndexOfAnyExcept(byte.MaxValue));
    }

    [Fact]
    public void Any_port_accesses_throw_nothing() =>
        Gen.Select(Gen.Int[0, 3], Gen.Bool, Gen.Int[-1, 9], Gen.Int[0, 9], Gen.UInt).Array[0, 100].Sample(accesses =>
        {
            var end = new GuestEnd();
            IPortDevice[] devices = [new AcpiSleep(end), new KeyboardController(end), new Cmos(), new PciPorts(new PciBus(), new ResetControl(end))];
            foreach (var (device, read, offset, size, value) in accesses)
            {
                if (read)
                    devices[device].ReadPort(offset, size);
                else
                    devices[device].WritePort(offset, size, value);
            }
        });

    [Fact]
    public void Any_bus_accesses_throw_nothing()
    {
        var addresses = Gen.OneOf(Gen.ULong[0xDFFF_FFF0, 0xE010_0010], Gen.ULong);
        Gen.Select(Gen.Bool, Gen.Bool, addresses, Gen.Int[0, 9], Gen.Byte.Array[0, 16]).Array[0, 100].Sample(accesses =>
        {
            using var interrupt = new EventFd();
            var end = new GuestEnd();
            var pci = new PciBus();
            var mmio = new MmioBus(pci);
            var ports = new PortBus();
            ports.Add(0x3F8, SerialPort.Ports, new SerialPort(new ConsoleRing(() => { }), interrupt));
            ports.Add(PciPorts.First, PciPorts.Count, new PciPorts(pci, new ResetControl(end)));
            foreach (var (memory, write, address, size, data) in accesses)
            {
                if (memory)
                    mmio.Access(address, write, data);
                else
                    ports.Access((ushort)address, size, write, data);
            }
        }, iter: 200);
    }
}
