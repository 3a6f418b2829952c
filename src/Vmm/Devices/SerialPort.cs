using Exitless.Linux;

namespace Exitless.Vmm.Devices;

/// <summary>
/// A 16550A (National Semiconductor PC16550D data sheet) whose line is infinitely fast: what the guest sends is in the console ring at once.
/// Its interrupt is edge-triggered (ISA), so every new cause raises an edge.
/// </summary>
internal sealed class SerialPort(ConsoleRing output, EventFd interrupt) : IPortDevice
{
    /// <summary>How many typed bytes may wait for the guest.</summary>
    public const int InputCapacity = 64 * 1024;

    public const int Ports = 8;

    private const byte ReceivedAvailable = 1, TransmitterEmpty = 2;
    private const byte LineDataReady = 1, LineTransmitterIdle = 0x60;
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

    /// <summary>Gives the receiver bytes; false, and none taken, if there is no room for all.</summary>
    public bool TryReceive(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            if (data.Length > InputCapacity - _inputCount)
                return false;
            foreach (var value in data)
                PutInput(value);
            if ((_interruptEnable & ReceivedAvailable) != 0 && _inputCount > 0)
                interrupt.Signal();
        }
        return true;
    }

    public uint ReadPort(int offset, int size)
    {
        if (size != 1)
            return uint.MaxValue;
        lock (_gate)
        {
            return offset switch
            {
                0 when (_lineControl & DivisorAccess) != 0 => (byte)_divisor,
                0 => TakeInput(),
                1 when (_lineControl & DivisorAccess) != 0 => (byte)(_divisor >> 8),
                1 => _interruptEnable,
                2 => IdentifyInterrupt(),
                3 => _lineControl,
                4 => _modemControl,
                5 => (byte)(LineTransmitterIdle | (_inputCount > 0 ? LineDataReady : 0)),
                6 => ModemStatus(),
                7 => _scratch,
                _ => byte.MaxValue,
            };
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        if (size != 1)
            return;
        var data = (byte)value;
        lock (_gate)
        {
            switch (offset)
            {
                case 0 when (_lineControl & DivisorAccess) != 0:
                    _divisor = (ushort)((_divisor & 0xff00) | data);
                    break;
                case 0:
                    Transmit(data);
                    break;
                case 1 when (_lineControl & DivisorAccess) != 0:
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
    }

    private void Transmit(byte data)
    {
        if ((_modemControl & Loopback) != 0)
        {
            if (_inputCount < InputCapacity)
                PutInput(data);
            if ((_interruptEnable & ReceivedAvailable) != 0)
                interrupt.Signal();
            return;
        }
        output.Write(data);
        _transmitterCause = true;
        if ((_interruptEnable & TransmitterEmpty) != 0)
            interrupt.Signal();
    }

    private void EnableInterrupts(byte data)
    {
        var risen = (byte)(data & ~_interruptEnable);
        _interruptEnable = (byte)(data & 0xf);
        if ((risen & TransmitterEmpty) != 0)
            _transmitterCause = true;
        if ((risen & TransmitterEmpty) != 0 || ((risen & ReceivedAvailable) != 0 && _inputCount > 0))
            interrupt.Signal();
    }

    private byte IdentifyInterrupt()
    {
        var fifo = (byte)(_fifo ? 0xc0 : 0);
        if ((_interruptEnable & ReceivedAvailable) != 0 && _inputCount > 0)
            return (byte)(fifo | 4);
        if ((_interruptEnable & TransmitterEmpty) == 0 || !_transmitterCause)
            return (byte)(fifo | 1);
        // Reading this register answers the transmitter's cause.
        _transmitterCause = false;
        return (byte)(fifo | 2);
    }

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
