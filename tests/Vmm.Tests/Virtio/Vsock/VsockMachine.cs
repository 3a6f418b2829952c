using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Virtio.Vsock;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Virtio.Vsock;

/// <summary>A vsock device with a real listening socket and a driver; the test is guest, worker and host program at once, so that nothing waits.</summary>
internal sealed class VsockMachine : IDisposable
{
    public const uint Cid = 42;
    public const int BufferBytes = 4096;
    private const int Receive = 0, Transmit = 1, Buffers = 16;
    private const ulong Received = 0x20_0000, Packet = 0x30_0000;

    private readonly string _folder = Directory.CreateTempSubdirectory("exitless-vsock-").FullName;
    private readonly Epoll _epoll = new();
    private readonly List<UnixSocket> _programs = [];

    public VsockMachine()
    {
        Bus = new ScriptedBus(new VirtioVsock(Cid, UnixListener.Open(SocketPath)));
        Bus.Device.Listen(_epoll);
    }

    public string SocketPath => Path.Combine(_folder, "vsock");

    public ScriptedBus Bus { get; }

    public Driver Driver { get; private set; } = null!;

    /// <summary>The guest's driver comes up.</summary>
    /// <param name="buffers">Into how many buffers the device can write at first.</param>
    public void Start(int buffers = Buffers)
    {
        for (var i = 0; i < Bus.Device.Queues.Length; i++)
            Bus.Memory.Slice(Driver.Available(i), 0x2000).Clear();
        Driver = new Driver(Bus);
        for (var i = 0; i < buffers; i++)
            Offer(i);
        Serve();
    }

    public void Offer(int buffer)
    {
        Driver.Chain(Receive, buffer, (Received + ((ulong)buffer * BufferBytes), BufferBytes, true));
        Driver.Offer(Receive, buffer);
    }

    /// <summary>Does the worker's work until there is none.</summary>
    public void Serve()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[16];
        for (var rounds = 0; rounds < 1000; rounds++)
        {
            Bus.Serve();
            var count = _epoll.Wait(reports, 0);
            if (count == 0 && !Bus.Device.Notices.ToArray().Any(n => n.IsSignalled))
                return;
            foreach (ref readonly var report in reports[..count])
                Bus.Device.Serve(report.Tag, report.Events);
        }
        Assert.Fail("The device is never done.");
    }

    /// <summary>The guest sends a packet.</summary>
    public void Send(VsockHeader header, ReadOnlySpan<byte> data = default)
    {
        var memory = Driver.Memory(Packet, VsockHeader.Bytes + data.Length);
        header.Write(memory);
        data.CopyTo(memory[VsockHeader.Bytes..]);
        Driver.Chain(Transmit, 0, (Packet, (uint)memory.Length, false));
        Driver.Offer(Transmit, 0);
        Serve();
        while (Driver.UsedCount(Transmit) > 0)
            Driver.Take(Transmit);
    }

    /// <summary>The next packet that the guest was sent, and its data; its buffer is offered again.</summary>
    public (VsockHeader Header, byte[] Data) Take(bool offerAgain = true)
    {
        var (head, written) = Driver.Take(Receive);
        var memory = Driver.Memory(Received + (head * BufferBytes), BufferBytes);
        var header = VsockHeader.Read(memory);
        Assert.Equal((VsockPackets.HostCid, (ulong)Cid, (uint)VsockHeader.Bytes + header.Length), (header.SourceCid, header.TargetCid, written));
        var data = memory[VsockHeader.Bytes..(int)written].ToArray();
        if (offerAgain)
        {
            Offer((int)head);
            Serve();
        }
        return (header, data);
    }

    /// <summary>How many packets wait for the guest.</summary>
    public int Packets => Driver.UsedCount(Receive);

    /// <summary>A host program connects and says its line.</summary>
    public UnixSocket Program(string line)
    {
        var program = UnixSocket.Connect(SocketPath);
        _programs.Add(program);
        Say(program, line);
        Serve();
        return program;
    }

    public static void Say(UnixSocket program, string text) => Assert.Equal(text.Length, program.Send(Encoding.ASCII.GetBytes(text), []));

    /// <summary>What a host program has got; null: its connection is at its end.</summary>
    public static string? Hear(UnixSocket program)
    {
        var buffer = new byte[200_000];
        try
        {
            var count = program.Receive(buffer, new Queue<SafeFileHandle>());
            return count == 0 ? null : Encoding.ASCII.GetString(buffer, 0, Math.Max(count, 0));
        }
        catch (LinuxException e) when (e.Errno == Errno.ConnectionReset)
        {
            return null;
        }
    }

    public static VsockHeader Header(VsockOperation operation, uint guestPort, uint hostPort, int length = 0) => new()
    {
        SourceCid = Cid,
        TargetCid = VsockPackets.HostCid,
        SourcePort = guestPort,
        TargetPort = hostPort,
        Length = (uint)length,
        Type = VsockHeader.Stream,
        Operation = operation,
        Room = 1 << 20,
    };

    /// <summary>A connection that the host program has asked for and the guest has accepted.</summary>
    /// <returns>The program, and the port of its end.</returns>
    public (UnixSocket Program, uint HostPort) Connected(uint guestPort)
    {
        var program = Program($"CONNECT {guestPort}\n");
        var (request, _) = Take();
        Assert.Equal((VsockOperation.Request, guestPort), (request.Operation, request.TargetPort));
        Send(Header(VsockOperation.Response, guestPort, request.SourcePort));
        Assert.Equal($"OK {request.SourcePort}\n", Hear(program));
        return (program, request.SourcePort);
    }

    public void Dispose()
    {
        foreach (var program in _programs)
            program.Dispose();
        Bus.Dispose();
        _epoll.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
