using Exitless.Linux;
using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// A console with one port (virtio 1.2, section 5.3), hvc0 in Linux. What the guest writes goes to the same ring as the serial port's output,
/// a whole buffer at a time instead of an exit for each byte.
/// </summary>
internal sealed class VirtioConsole : VirtioDevice
{
    /// <summary>What may have been typed and not yet been read by the guest.</summary>
    public const int InputRoom = 16 * 1024;

    private const int Receive = 0, Transmit = 1;
    private readonly ConsoleRing _output;
    private readonly EventFd _typed = new();
    private readonly Lock _inputGate = new();
    private readonly byte[] _input = new byte[InputRoom];
    private int _first, _count;

    public VirtioConsole(ConsoleRing output)
        : base("console", type: 3, classCode: 0x078000, features: 0, queues: 2) => _output = output;

    // Columns, rows, ports and an emergency register, none of which is offered: zeros.
    public override int ConfigurationBytes => 12;

    /// <summary>True while a driver is there to take input.</summary>
    public bool IsOpen => Running && !NeedsReset;

    /// <summary>Types; false if there is no room for all of it. Any thread.</summary>
    public bool TryReceive(ReadOnlySpan<byte> data)
    {
        lock (_inputGate)
        {
            if (data.Length > InputRoom - _count)
                return false;
            foreach (var value in data)
                _input[(_first + _count++) % InputRoom] = value;
        }
        _typed.Signal();
        return true;
    }

    public override void Listen(Epoll epoll) => epoll.Add(_typed.Handle, EpollEvents.Readable, VirtioWorker.FirstTag);

    public override void Dispose()
    {
        base.Dispose();
        _typed.Dispose();
    }

    protected override void Ready(ulong tag, EpollEvents events)
    {
        _typed.Take();
        if (IsOpen)
            Drain(Receive);
    }

    protected override bool Handle(int queue, SplitQueue requests) => queue == Transmit ? Send(requests) : Fill(requests);

    private bool Send(SplitQueue requests)
    {
        foreach (ref readonly var stretch in requests.Chain.Readable)
            _output.Write(stretch.Span);
        requests.Give(0);
        return true;
    }

    private bool Fill(SplitQueue requests)
    {
        uint written = 0;
        lock (_inputGate)
        {
            if (_count == 0)
                return false;
            while (_count > 0)
            {
                var piece = _input.AsSpan(_first, Math.Min(_count, InputRoom - _first));
                var taken = Stretches.Write(requests.Chain.Writable, written, piece);
                if (taken == 0)
                    break;
                _first = (_first + taken) % InputRoom;
                _count -= taken;
                written += (uint)taken;
            }
        }
        requests.Give(written);
        return true;
    }
}
