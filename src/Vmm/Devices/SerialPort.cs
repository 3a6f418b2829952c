using Exitless.Linux;

namespace Exitless.Vmm.Devices;

/// <summary>
/// A 16550A (National Semiconductor PC16550D data sheet) whose line is infinitely fast: what the guest sends is in the console ring at once.
/// Its interrupt is edge-triggered (ISA): each new cause raises one edge, and a guest that reads IIR until nothing is pending misses none.
/// All registers are bytes; a wider access touches one after the other.
/// </summary>
internal sealed class SerialPort(ConsoleRing output, EventFd interrupt) : IPortDevice
{
    /// <summary>How many typed bytes may wait for the guest.</summary>
    public const int InputCapacity = 64 * 1024;

    public const int Ports = 8;

    private const byte ReceivedAvailable = 1, TransmitterEmpty = 2, LineStatusChanged = 4, AllInterrupts = 0xf;
    private const byte IdentifyNothing = 1, IdentifyTransmitter = 2, IdentifyReceived = 4, IdentifyLineStatus = 6, IdentifyFifo = 0xc0;
    private const byte LineDataReady = 1, LineOverrun = 2, LineTransmitterIdle = 0x60;
    private const byte DivisorAccess = 0x80, Loopback = 0x10;
    private const byte ModemIdle = 0xb0;

    private readonly Lock _gate = new();
    private readonly byte[] _input = new byte[InputCapacity];
    private int _inputStart;
    private int _inputCount;
    private byte _interruptEnable;
    private byte _lineControl = 3;
    private byte _modemControl = 8;
    private byte _scratch;
    private ushort _divisor = 1;
    private bool _fifo;
    private bool _transmitterCause;
    private bool _overrun;

    private bool DivisorVisible => (_lineControl & DivisorAccess) != 0;

    /// <summary>Gives the receiver bytes; false, and none taken, if there is no room for all. May be called from any thread.</summary>
    public bool TryReceive(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            if (data.Length > InputCapacity - _inputCount)
                return false;
            foreach (var value in data)
                PutInput(value);
            if (!data.IsEmpty)
                SignalFor(ReceivedAvailable);
        }
        return true;
    }

    /// <summary>Puts all registers back as they were when the guest was switched on. What was typed and not yet read is lost, as on a real port.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            (_inputStart, _inputCount, _interruptEnable, _lineControl, _modemControl, _scratch, _divisor) = (0, 0, 0, 3, 8, 0, 1);
            _fifo = _transmitterCause = _overrun = false;
        }
    }

    public uint ReadPort(int offset, int size)
    {
        lock (_gate)
        {
            var value = 0u;
            for (var i = 0; i < size && i < sizeof(uint); i++)
                value |= (uint)ReadRegister(offset + i) << (8 * i);
            return value;
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        lock (_gate)
        {
            for (var i = 0; i < size && i < sizeof(uint); i++)
                WriteRegister(offset + i, (byte)(value >> (8 * i)));
        }
    }

    private byte ReadRegister(int register) => register switch
    {
        0 => DivisorVisible ? (byte)_divisor : TakeInput(),
        1 => DivisorVisible ? (byte)(_divisor >> 8) : _interruptEnable,
        2 => IdentifyInterrupt(),
        3 => _lineControl,
        4 => _modemControl,
        5 => TakeLineStatus(),
        6 => ModemStatus(),
        7 => _scratch,
        _ => byte.MaxValue,
    };

    private void WriteRegister(int register, byte data)
    {
        switch (register)
        {
            case 0 when DivisorVisible:
                _divisor = (ushort)((_divisor & 0xff00) | data);
                break;
            case 0:
                Transmit(data);
                break;
            case 1 when DivisorVisible:
                _divisor = (ushort)((_divisor & 0xff) | (data << 8));
                break;
            case 1:
                EnableInterrupts(data);
                break;
            case 2:
                _fifo = (data & 1) != 0;
                if ((data & 2) != 0)
                    _inputCount = 0;
                break;
            case 3:
                _lineControl = data;
                break;
            case 4:
                _modemControl = (byte)(data & 0x1f);
                break;
            case 7:
                _scratch = data;
                break;
            default:
                // Line and modem status are read-only.
                break;
        }
    }

    private void Transmit(byte data)
    {
        if ((_modemControl & Loopback) == 0)
        {
            output.Write(data);
        }
        else if (_inputCount < InputCapacity)
        {
            PutInput(data);
            SignalFor(ReceivedAvailable);
        }
        else
        {
            _overrun = true;
            SignalFor(LineStatusChanged);
        }
        // The byte is gone at once. While the cause stands, a burst raises no further edge: the guest has one to answer already.
        if (!_transmitterCause)
        {
            _transmitterCause = true;
            SignalFor(TransmitterEmpty);
        }
    }

    private void EnableInterrupts(byte data)
    {
        var risen = (byte)(data & ~_interruptEnable);
        _interruptEnable = (byte)(data & AllInterrupts);
        // Enabling the transmitter's interrupt while it is empty raises it anew, which drivers rely on to begin sending.
        if ((risen & TransmitterEmpty) != 0)
            _transmitterCause = true;
        if ((risen & TransmitterEmpty) != 0 || ((risen & ReceivedAvailable) != 0 && _inputCount > 0) || ((risen & LineStatusChanged) != 0 && _overrun))
            interrupt.Signal();
    }

    /// <summary>The pending cause of the highest priority. Reading it answers the transmitter's.</summary>
    private byte IdentifyInterrupt()
    {
        var fifo = _fifo ? IdentifyFifo : (byte)0;
        if (_overrun && (_interruptEnable & LineStatusChanged) != 0)
            return (byte)(fifo | IdentifyLineStatus);
        if (_inputCount > 0 && (_interruptEnable & ReceivedAvailable) != 0)
            return (byte)(fifo | IdentifyReceived);
        if (!_transmitterCause || (_interruptEnable & TransmitterEmpty) == 0)
            return (byte)(fifo | IdentifyNothing);
        _transmitterCause = false;
        return (byte)(fifo | IdentifyTransmitter);
    }

    private byte TakeLineStatus()
    {
        var status = (byte)(LineTransmitterIdle | (_inputCount > 0 ? LineDataReady : 0) | (_overrun ? LineOverrun : 0));
        _overrun = false;
        return status;
    }

    /// <summary>A peer that is always ready or, in loopback, the port's own outputs.</summary>
    private byte ModemStatus()
    {
        if ((_modemControl & Loopback) == 0)
            return ModemIdle;
        var lines = 0;
        if ((_modemControl & 1) != 0)
            lines |= 0x20;
        if ((_modemControl & 2) != 0)
            lines |= 0x10;
        if ((_modemControl & 4) != 0)
            lines |= 0x40;
        if ((_modemControl & 8) != 0)
            lines |= 0x80;
        return (byte)lines;
    }

    private void SignalFor(byte cause)
    {
        if ((_interruptEnable & cause) != 0)
            interrupt.Signal();
    }

    private void PutInput(byte value) => _input[(_inputStart + _inputCount++) % InputCapacity] = value;

    private byte TakeInput()
    {
        if (_inputCount == 0)
            return 0;
        var value = _input[_inputStart];
        _inputStart = (_inputStart + 1) % InputCapacity;
        _inputCount--;
        return value;
    }
}
