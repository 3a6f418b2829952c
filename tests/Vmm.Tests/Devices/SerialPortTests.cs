using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Tests.Devices;

public sealed class SerialPortTests : IDisposable
{
    private readonly ConsoleRing _console = new(() => { });
    private readonly EventFd _interrupt = new();
    private readonly SerialPort _port;

    public SerialPortTests() => _port = new SerialPort(_console, _interrupt);

    public void Dispose() => _interrupt.Dispose();

    [Fact]
    public void What_the_guest_sends_is_on_the_console()
    {
        foreach (var value in "hello"u8)
        {
            Assert.Equal(0x60U, In(5) & 0x60);
            Out(0, value);
        }
        Assert.Equal("hello"u8, Console());
        Assert.Equal(0UL, Edges());
    }

    [Fact]
    public void The_driver_sees_a_16550a()
    {
        // What drivers look at to tell the chips apart: IER, scratch, loopback, FIFO, no 16650, no 16750.
        Out(1, 0);
        Assert.Equal(0U, In(1));
        Out(1, 0xFF);
        Assert.Equal(0x0FU, In(1));
        Out(1, 0);
        Out(7, 0xA5);
        Assert.Equal(0xA5U, In(7));
        Out(4, 0x1A);
        Assert.Equal(0x90U, In(6) & 0xF0);
        Out(4, 0x15);
        Assert.Equal(0x60U, In(6) & 0xF0);
        Out(4, 0);
        Assert.Equal(0xB0U, In(6) & 0xF0);
        Out(3, 0xBF);
        Out(2, 0);
        Out(3, 0);
        Out(2, 1);
        Assert.Equal(3U, In(2) >> 6);
        Out(3, 0x80);
        Assert.NotEqual(0U, In(2));
        Out(3, 0);
        Out(2, 0x21);
        Assert.Equal(6U, In(2) >> 5);
        Out(2, 0);
        Assert.Equal(0U, In(2) >> 6);
    }

    [Fact]
    public void The_divisor_hides_behind_its_latch()
    {
        Out(3, 0x83);
        Out(0, 1);
        Out(1, 2);
        Assert.Equal((1U, 2U), (In(0), In(1)));
        Out(3, 3);
        Assert.Equal(0U, In(1));
        Assert.Equal(0, _console.End);
    }

    [Fact]
    public void The_transmitter_interrupts_when_enabled_and_once_for_a_burst()
    {
        Out(1, 2);
        Assert.Equal(1UL, Edges());
        Assert.Equal(2U, In(2));
        Assert.Equal(1U, In(2));
        for (var i = 0; i < 16; i++)
            Out(0, (byte)'x');
        Assert.Equal(1UL, Edges());
        Assert.Equal(2U, In(2));
        Out(0, (byte)'y');
        Assert.Equal(1UL, Edges());
        // Off and on again raises it again: drivers test for chips that do not.
        _ = In(2);
        Out(1, 0);
        Assert.Equal(1U, In(2));
        Out(1, 2);
        Assert.Equal(1UL, Edges());
        Assert.Equal(2U, In(2));
    }

    [Fact]
    public void Input_interrupts_and_is_read_in_order()
    {
        Out(1, 1);
        Assert.True(_port.TryReceive("ab"u8));
        Assert.Equal(1UL, Edges());
        Assert.Equal(4U, In(2));
        Assert.Equal(1U, In(5) & 1);
        Assert.Equal(((uint)'a', (uint)'b'), (In(0), In(0)));
        Assert.Equal(0U, In(5) & 1);
        Assert.Equal(1U, In(2));
        Assert.Equal(0U, In(0));
    }

    [Fact]
    public void Input_that_came_first_interrupts_when_enabled()
    {
        _port.TryReceive("a"u8);
        Assert.Equal(0UL, Edges());
        Out(1, 1);
        Assert.Equal(1UL, Edges());
    }

    [Fact]
    public void No_input_is_no_cause()
    {
        Out(1, 1);
        Assert.True(_port.TryReceive([]));
        Assert.Equal(0UL, Edges());
    }

    [Fact]
    public void Input_has_priority_over_the_transmitter()
    {
        Out(1, 3);
        _port.TryReceive("a"u8);
        Assert.Equal(4U, In(2));
        _ = In(0);
        Assert.Equal(2U, In(2));
    }

    [Fact]
    public void Input_is_bounded_and_taken_whole_or_not_at_all()
    {
        Assert.True(_port.TryReceive(new byte[SerialPort.InputCapacity - 1]));
        Assert.False(_port.TryReceive("ab"u8));
        Assert.True(_port.TryReceive("a"u8));
        Assert.False(_port.TryReceive("b"u8));
        _ = In(0);
        Assert.True(_port.TryReceive("b"u8));
    }

    [Fact]
    public void Clearing_the_receiver_drops_what_waits()
    {
        _port.TryReceive("abc"u8);
        Out(2, 3);
        Assert.Equal(0U, In(5) & 1);
    }

    [Fact]
    public void Loopback_gives_the_guest_its_own_bytes_and_overruns_at_the_limit()
    {
        Out(4, 0x10);
        Out(1, 4);
        Out(0, 0x42);
        Assert.Equal(0x42U, In(0));
        for (var i = 0; i < SerialPort.InputCapacity; i++)
            Out(0, 1);
        Assert.Equal(0UL, Edges());
        Out(0, 1);
        Assert.Equal(1UL, Edges());
        Assert.Equal(6U, In(2));
        Assert.Equal(0x63U, In(5));
        Assert.Equal(0x61U, In(5));
        Assert.Equal(1U, In(2));
        Assert.Equal(0, _console.End);
    }

    [Fact]
    public void Loopback_empties_the_transmitter_too()
    {
        Out(1, 2);
        _ = In(2);
        _ = Edges();
        Out(4, 0x10);
        Out(0, 0x42);
        Assert.Equal(1UL, Edges());
        Assert.Equal(2U, In(2));
    }

    [Fact]
    public void A_wide_access_touches_one_register_after_the_other()
    {
        _port.WritePort(6, 4, 0xDDCC_BBAA);
        Assert.Equal(0xBBU, In(7));
        Assert.Equal(0xFFFF_BBB0U, _port.ReadPort(6, 4));
    }

    [Fact]
    public void Any_accesses_end_in_a_port_that_still_answers() =>
        Gen.Select(Gen.Bool, Gen.Int[-1, 9], Gen.Int[0, 9], Gen.UInt).Array[0, 200].Sample(accesses =>
        {
            using var interrupt = new EventFd();
            var port = new SerialPort(_console, interrupt);
            foreach (var (read, offset, size, value) in accesses)
            {
                if (read)
                    port.ReadPort(offset, size);
                else
                    port.WritePort(offset, size, value);
                if (value % 7 == 0)
                    port.TryReceive("abc"u8);
            }
            port.WritePort(3, 1, 0);
            port.WritePort(7, 1, 0x5A);
            return port.ReadPort(7, 1) == 0x5A && (port.ReadPort(5, 1) & 0x60) == 0x60;
        });

    /// <summary>Whatever a driver enables, sends and is sent: a cause that stands behind IIR's "nothing" has always had its edge.</summary>
    [Fact]
    public void No_cause_is_left_without_an_edge() =>
        Gen.Select(Gen.Int[0, 4], Gen.Byte[0, 7]).Array[1, 60].Sample(steps =>
        {
            using var interrupt = new EventFd();
            var port = new SerialPort(_console, interrupt);
            foreach (var (step, value) in steps)
            {
                switch (step)
                {
                    case 0:
                        port.WritePort(1, 1, value);
                        break;
                    case 1:
                        port.WritePort(0, 1, value);
                        break;
                    case 2:
                        port.TryReceive("a"u8);
                        break;
                    default:
                        // The handler: only an edge makes it run, and it goes on until nothing is pending.
                        if (interrupt.Take() == 0)
                            break;
                        for (var id = port.ReadPort(2, 1); (id & 1) == 0; id = port.ReadPort(2, 1))
                        {
                            if (id == 4)
                                port.ReadPort(0, 1);
                        }
                        break;
                }
            }
            return interrupt.Take() > 0 || (port.ReadPort(2, 1) & 1) == 1;
        });

    private uint In(int register) => _port.ReadPort(register, 1);

    private void Out(int register, byte value) => _port.WritePort(register, 1, value);

    private ulong Edges() => _interrupt.Take();

    private byte[] Console()
    {
        var bytes = new byte[_console.End];
        long offset = 0;
        _console.Read(ref offset, bytes);
        return bytes;
    }
}
