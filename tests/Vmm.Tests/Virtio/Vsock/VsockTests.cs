using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Virtio.Vsock;

namespace Exitless.Vmm.Tests.Virtio.Vsock;

/// <summary>Connections in both directions, credits, ends, and what is refused.</summary>
public sealed class VsockTests
{
    private const uint Both = VsockHeader.EndsReceiving | VsockHeader.EndsSending;

    [Fact]
    public void A_host_program_connects_to_the_guest_and_bytes_go_both_ways()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var (program, port) = machine.Connected(1024);
        VsockMachine.Say(program, "to the guest");
        machine.Serve();
        var (header, data) = machine.Take();
        Assert.Equal((VsockOperation.Data, port, 1024u, VsockHeader.Stream), (header.Operation, header.SourcePort, header.TargetPort, header.Type));
        Assert.Equal("to the guest"u8, data);
        machine.Send(VsockMachine.Header(VsockOperation.Data, 1024, port, 11), "to the host"u8);
        Assert.Equal("to the host", VsockMachine.Hear(program));
        Assert.Equal(VsockMachine.Cid, machine.Bus.Read(0x2000, 4) | machine.Bus.Read(0x2004, 4) << 32);
        Assert.Equal(0x1053_1af4u, machine.Bus.Config(0));
    }

    [Fact]
    public void The_guest_connects_to_whoever_has_listened_longest()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var first = machine.Program("LISTEN 80\n");
        var second = machine.Program("LISTEN 80\r\n");
        machine.Program("LISTEN 81\n");
        machine.Send(VsockMachine.Header(VsockOperation.Request, 5001, 80));
        Assert.Equal(VsockOperation.Response, machine.Take().Header.Operation);
        Assert.Equal(("OK 5001\n", ""), (VsockMachine.Hear(first), VsockMachine.Hear(second)));
        machine.Send(VsockMachine.Header(VsockOperation.Request, 5002, 80));
        Assert.Equal((VsockOperation.Response, 5002u), (machine.Take().Header.Operation, 5002u));
        Assert.Equal("OK 5002\n", VsockMachine.Hear(second));
        machine.Send(VsockMachine.Header(VsockOperation.Request, 5003, 80));
        Assert.Equal(VsockOperation.Reset, machine.Take().Header.Operation);
        machine.Send(VsockMachine.Header(VsockOperation.Data, 5002, 80, 2), "hi"u8);
        Assert.Equal(("", "hi"), (VsockMachine.Hear(first), VsockMachine.Hear(second)));
    }

    [Fact]
    public void A_listener_that_has_gone_gets_nothing()
    {
        using var machine = new VsockMachine();
        machine.Start();
        machine.Program("LISTEN 80\n").Dispose();
        machine.Serve();
        machine.Send(VsockMachine.Header(VsockOperation.Request, 5001, 80));
        Assert.Equal(VsockOperation.Reset, machine.Take().Header.Operation);
    }

    [Theory]
    [InlineData("CONNECT\n")]
    [InlineData("CONNECT 4294967296\n")]
    [InlineData("CONNECT -1\n")]
    [InlineData("GET / HTTP/1.1\n")]
    [InlineData("CONNECT 0000000000000000000000000000000001\n")]
    public void A_line_that_says_nothing_ends_the_connection(string line)
    {
        using var machine = new VsockMachine();
        machine.Start();
        Assert.Null(VsockMachine.Hear(machine.Program(line)));
        Assert.Equal(0, machine.Packets);
    }

    [Fact]
    public void A_line_may_come_in_pieces_and_nobody_is_let_in_before_the_driver()
    {
        using var machine = new VsockMachine();
        var program = machine.Program("CONN");
        machine.Start();
        Assert.Equal(0, machine.Packets);
        VsockMachine.Say(program, "ECT 7\nand data");
        machine.Serve();
        var (request, _) = machine.Take();
        Assert.Equal((VsockOperation.Request, 7u), (request.Operation, request.TargetPort));
        machine.Send(VsockMachine.Header(VsockOperation.Response, 7, request.SourcePort));
        Assert.Equal("and data"u8, machine.Take().Data);
    }

    [Fact]
    public void A_guest_that_refuses_ends_the_connection()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var program = machine.Program("CONNECT 7\n");
        machine.Send(VsockMachine.Header(VsockOperation.Reset, 7, machine.Take().Header.SourcePort));
        Assert.Null(VsockMachine.Hear(program));
    }

    [Fact]
    public void The_guest_gets_no_more_than_it_has_room_for()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var program = machine.Program("CONNECT 7\n");
        var port = machine.Take().Header.SourcePort;
        machine.Send(VsockMachine.Header(VsockOperation.Response, 7, port) with { Room = 10 });
        VsockMachine.Say(program, "0123456789abcdef");
        machine.Serve();
        Assert.Equal("0123456789"u8, machine.Take().Data);
        Assert.Equal(0, machine.Packets);
        machine.Send(VsockMachine.Header(VsockOperation.CreditUpdate, 7, port) with { Room = 10, Forwarded = 4 });
        Assert.Equal("abcd"u8, machine.Take().Data);
        Assert.Equal(0, machine.Packets);
        machine.Send(VsockMachine.Header(VsockOperation.CreditUpdate, 7, port) with { Room = 10, Forwarded = 14 });
        Assert.Equal("ef"u8, machine.Take().Data);
        // Numbers that cannot be: as good as no room.
        machine.Send(VsockMachine.Header(VsockOperation.CreditUpdate, 7, port) with { Room = 10, Forwarded = 400 });
        VsockMachine.Say(program, "x");
        machine.Serve();
        Assert.Equal(0, machine.Packets);
    }

    [Fact]
    public void What_the_host_program_does_not_take_waits_and_the_guest_is_told_when_it_goes_on()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var (program, port) = machine.Connected(7);
        var sent = 0;
        var told = 0u;
        // Until the socket is full and the device's own room too.
        while (sent - told < VsockConnection.Room)
        {
            machine.Send(VsockMachine.Header(VsockOperation.Data, 7, port, 4096), new byte[4096]);
            sent += 4096;
            while (machine.Packets > 0)
                told = machine.Take().Header.Forwarded;
        }
        var heard = 0;
        for (string? text; (text = VsockMachine.Hear(program)) is { Length: > 0 }; machine.Serve())
            heard += text.Length;
        Assert.Equal(sent, heard);
        while (machine.Packets > 0)
            told = machine.Take().Header.Forwarded;
        Assert.InRange(sent - (int)told, 0, VsockConnection.Room / 4);
        machine.Send(VsockMachine.Header(VsockOperation.CreditRequest, 7, port));
        Assert.Equal((VsockOperation.CreditUpdate, (uint)sent, (uint)VsockConnection.Room), machine.Take().Header is var h ? (h.Operation, h.Forwarded, h.Room) : default);
    }

    [Fact]
    public void A_guest_that_sends_more_than_it_may_loses_the_connection()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var (program, port) = machine.Connected(7);
        for (var sent = 0; machine.Packets == 0 || machine.Take().Header.Operation != VsockOperation.Reset; sent += 4096)
        {
            Assert.InRange(sent, 0, 4 << 20);
            machine.Send(VsockMachine.Header(VsockOperation.Data, 7, port, 4096), new byte[4096]);
        }
        while (VsockMachine.Hear(program) is { } text)
            Assert.NotEqual("", text);
    }

    [Fact]
    public void The_host_program_ends_and_its_last_bytes_come_first()
    {
        using var machine = new VsockMachine();
        machine.Start(buffers: 1);
        var (program, port) = machine.Connected(7);
        VsockMachine.Say(program, new string('a', 6000));
        program.Dispose();
        machine.Serve();
        Assert.Equal(VsockMachine.BufferBytes - VsockHeader.Bytes, machine.Take().Data.Length);
        Assert.Equal(6000 - VsockMachine.BufferBytes + VsockHeader.Bytes, machine.Take().Data.Length);
        var (end, _) = machine.Take();
        Assert.Equal((VsockOperation.Shutdown, Both), (end.Operation, end.Flags));
        machine.Send(VsockMachine.Header(VsockOperation.Reset, 7, port));
        machine.Send(VsockMachine.Header(VsockOperation.Data, 7, port, 1), "x"u8);
        Assert.Equal(VsockOperation.Reset, machine.Take().Header.Operation);
    }

    [Fact]
    public void The_guest_ends_one_direction_then_the_other()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var (program, port) = machine.Connected(7);
        machine.Send(VsockMachine.Header(VsockOperation.Data, 7, port, 4), "last"u8);
        machine.Send(VsockMachine.Header(VsockOperation.Shutdown, 7, port) with { Flags = VsockHeader.EndsSending });
        Assert.Equal("last", VsockMachine.Hear(program));
        Assert.Null(VsockMachine.Hear(program));
        VsockMachine.Say(program, "still");
        machine.Serve();
        Assert.Equal("still"u8, machine.Take().Data);
        machine.Send(VsockMachine.Header(VsockOperation.Shutdown, 7, port) with { Flags = Both });
        Assert.Equal(VsockOperation.Reset, machine.Take().Header.Operation);
        Assert.Throws<LinuxException>(() => program.Send("x"u8, []));
    }

    [Fact]
    public void Packets_for_nobody_are_refused_and_refusals_are_not_answered()
    {
        using var machine = new VsockMachine();
        machine.Start();
        machine.Send(VsockMachine.Header(VsockOperation.Data, 7, 8, 1), "x"u8);
        Assert.Equal((VsockOperation.Reset, 8u, 7u), machine.Take().Header is var h ? (h.Operation, h.SourcePort, h.TargetPort) : default);
        machine.Send(VsockMachine.Header(VsockOperation.Request, 7, 8) with { Type = 2 });
        Assert.Equal((VsockOperation.Reset, (ushort)2), machine.Take().Header is var t ? (t.Operation, t.Type) : default);
        machine.Send(VsockMachine.Header(VsockOperation.Reset, 7, 8));
        machine.Send(VsockMachine.Header(VsockOperation.Request, 7, 8) with { TargetCid = 3 });
        machine.Send(VsockMachine.Header(VsockOperation.Request, 7, 8) with { SourceCid = 3 });
        Assert.Equal(0, machine.Packets);
        Assert.False(machine.Driver.NeedsReset);
        machine.Send(VsockMachine.Header(VsockOperation.Data, 7, 8, 5), "x"u8);
        Assert.True(machine.Driver.NeedsReset);
    }

    [Fact]
    public void Without_buffers_refusals_wait_and_then_the_guests_packets_do()
    {
        using var machine = new VsockMachine();
        machine.Start(buffers: 0);
        for (var i = 0; i < 60; i++)
            machine.Send(VsockMachine.Header(VsockOperation.Request, (uint)i, 8));
        // The ring has 64 entries: of these, the device keeps four answers, and leaves the rest where they are.
        for (var i = 60; i < 100; i++)
            machine.Send(VsockMachine.Header(VsockOperation.Request, (uint)i, 8));
        for (var i = 0; i < 16; i++)
            machine.Offer(i);
        machine.Serve();
        var answers = 0;
        for (; machine.Packets > 0; answers++)
            Assert.Equal(VsockOperation.Reset, machine.Take().Header.Operation);
        Assert.Equal(100, answers);
    }

    [Fact]
    public void A_reset_of_the_driver_ends_all_but_those_who_listen()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var (program, _) = machine.Connected(7);
        var listener = machine.Program("LISTEN 80\n");
        machine.Driver.Status = 0;
        machine.Serve();
        Assert.Null(VsockMachine.Hear(program));
        machine.Start();
        machine.Send(VsockMachine.Header(VsockOperation.Request, 5001, 80));
        Assert.Equal(VsockOperation.Response, machine.Take().Header.Operation);
        Assert.Equal("OK 5001\n", VsockMachine.Hear(listener));
    }

    [Fact]
    public void There_are_so_many_connections_and_no_more()
    {
        using var machine = new VsockMachine();
        machine.Start();
        var programs = Enumerable.Range(0, VsockTable.Most).Select(_ => machine.Program("LISTEN 80\n")).ToList();
        Assert.Null(VsockMachine.Hear(machine.Program("")));
        programs[5].Dispose();
        machine.Serve();
        Assert.Equal("", VsockMachine.Hear(machine.Program("")));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-1)]
    [InlineData(0xffff_ffff)]
    public void An_address_that_is_somebody_elses_is_refused(long cid) =>
        Assert.Equal("vsock-cid-invalid", Assert.Throws<VmmProblemException>(() => VirtioVsock.Check(new VsockConfig { Cid = cid })).Code);

    [Fact]
    public void What_does_not_listen_is_refused()
    {
        using var file = MemoryFile.Create("no socket", 4096);
        Assert.Equal("vsock-not-listening", Assert.Throws<VmmProblemException>(() => VirtioVsock.Open(new VsockConfig { Cid = 3 }, file)).Code);
        using var pair = new DatagramPair();
        Assert.Equal("vsock-not-listening", Assert.Throws<VmmProblemException>(() => VirtioVsock.Open(new VsockConfig { Cid = 3 }, pair.First)).Code);
    }
}
