using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>A device that the guest owns, as a function on the guest's bus. Once disposed it is absent: reads give all ones, writes are lost.</summary>
internal sealed class AssignedDevice : IPciFunction, IDisposable
{
    private const int Command = 4;
    private const uint Decode = BarSet.IoEnable | BarSet.MemoryEnable, PowerState = 3;

    private readonly string _address;
    private readonly IVfioDevice _device;
    private readonly ConfigSpace _view;
    private readonly MsixLocation? _msix;
    private readonly int _msiAt;
    private readonly int _powerAt;
    private readonly (int Register, uint Bit)[] _functionResets;
    private readonly DeviceInterrupts _interrupts;
    private readonly MsixTable? _table;
    private readonly BarSet _bars;
    private readonly Lock _gate = new();
    // What the guest wrote to COMMAND last, and whether the function is in D0, where alone its BARs answer.
    private uint _command;
    private bool _awake = true;
    private bool _gone;

    /// <summary>Puts the parts together, which belong to this from now on. The device starts with its memory switched off.</summary>
    public AssignedDevice(string address, IVfioDevice device, ConfigCapture capture, DeviceInterrupts interrupts, MsixTable? table, BarSet bars)
    {
        _address = address;
        _device = device;
        _view = capture.View;
        _msix = capture.MsixLocation;
        _msiAt = capture.MsiLocation?.Capability ?? 0;
        _powerAt = capture.PowerControl;
        _functionResets = [.. capture.FunctionResets];
        _interrupts = interrupts;
        _table = table;
        _bars = bars;
        WriteDevice(Command, 2, 0);
    }

    /// <summary>Its address on the host.</summary>
    public string Address => _address;

    /// <summary>True while the guest has put it into a sleeping state.</summary>
    public bool IsAsleep => !_awake;

    public uint ReadConfig(int offset, int size)
    {
        lock (_gate)
        {
            if (_gone)
                return uint.MaxValue & ConfigSpace.Lanes(0, size);
            _interrupts.Settle();
            return _view.Merge(offset, size, _view.IsWhollyEmulated(offset, size) ? 0 : ReadDevice(offset, size));
        }
    }

    public void WriteConfig(int offset, int size, uint value)
    {
        lock (_gate)
        {
            if (_gone)
                return;
            if (offset is Command or Command + 1)
                WriteCommand(offset, size, value);
            else if (StartsReset(offset, size, value))
                ResetFunction(offset, size, value);
            else if (_powerAt != 0 && offset == _powerAt)
                WritePowerState(offset, size, value);
            else
                WriteOther(offset, size, value);
            // A write to configuration space is answered, so whatever came before it has arrived.
            _interrupts.Settle();
        }
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        lock (_gate)
        {
            value = ulong.MaxValue;
            if (_gone || _bars.FindMemory(address, size) is not { } bar)
                return false;
            _interrupts.Settle();
            var offset = address - bar.Address;
            if (_table is null || bar.Description.IsRom)
                value = _bars.Read(bar, offset, size);
            else if (bar.Description.Index == _msix!.TableBar && offset - _msix.TableOffset < _msix.TableBytes)
                value = _table.ReadTable(offset - _msix.TableOffset, size);
            else if (bar.Description.Index == _msix.PendingBar && offset - _msix.PendingOffset < _msix.PendingBytes)
                value = _table.ReadPending(offset - _msix.PendingOffset, size);
            else
                value = _bars.Read(bar, offset, size);
            return true;
        }
    }

    public bool TryWriteMemory(ulong address, int size, ulong value)
    {
        lock (_gate)
        {
            if (_gone || _bars.FindMemory(address, size) is not { } bar)
                return false;
            var offset = address - bar.Address;
            if (_table is null || bar.Description.IsRom)
                _bars.Write(bar, offset, size, value);
            else if (bar.Description.Index == _msix!.TableBar && offset - _msix.TableOffset < _msix.TableBytes)
                _table.WriteTable(offset - _msix.TableOffset, size, value);
            else if (bar.Description.Index != _msix.PendingBar || offset - _msix.PendingOffset >= _msix.PendingBytes)
                _bars.Write(bar, offset, size, value);
            return true;
        }
    }

    public bool TryReadPort(ushort port, int size, out uint value)
    {
        lock (_gate)
        {
            value = uint.MaxValue;
            if (_gone || _bars.FindPort(port, size) is not { } bar)
                return false;
            _interrupts.Settle();
            value = (uint)_bars.Read(bar, port - bar.Address, size);
            return true;
        }
    }

    public bool TryWritePort(ushort port, int size, uint value)
    {
        lock (_gate)
        {
            if (_gone || _bars.FindPort(port, size) is not { } bar)
                return false;
            _bars.Write(bar, port - bar.Address, size, value);
            return true;
        }
    }

    /// <summary>Masks that wait take effect.</summary>
    public void Settle()
    {
        lock (_gate)
            _interrupts.Settle();
    }

    public DeviceVectors TakeVectors()
    {
        lock (_gate)
            return _interrupts.Describe(_address);
    }

    /// <summary>As after power-on: for a machine that starts anew.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            if (_gone)
                return;
            Quiesce();
            _device.TryReset();
            WriteDevice(Command, 2, 0);
        }
    }

    /// <summary>Gives everything back: interrupts, then mappings, then the device.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_gone)
                return;
            _gone = true;
            _interrupts.Dispose();
            _bars.Dispose();
            _device.Dispose();
        }
    }

    /// <summary>The guest never sees a mapping of a device whose memory is off: on is told to the device first, off to the mappings.</summary>
    private void WriteCommand(int offset, int size, uint value)
    {
        var shift = 8 * (offset & 3);
        var lanes = ConfigSpace.Lanes(offset, size) & 0xffff;
        var command = (_command & ~lanes) | (value << shift & lanes);
        if (_awake)
            _bars.Withdraw(command & _command);
        WriteDevice(offset, size, value);
        _command = command;
        if (_awake)
            _bars.Place(command);
        _interrupts.Update(command);
    }

    /// <summary>In D1 to D3 a function's BARs do not answer, and the kernel revokes the mappings: the guest must not have them then.</summary>
    private void WritePowerState(int offset, int size, uint value)
    {
        if ((value & PowerState) != 0)
        {
            _bars.Withdraw(0);
            _awake = false;
        }
        WriteDevice(offset, size, value);
        // A state that the device does not have leaves it in the one that it was in.
        _awake = (ReadDevice(offset, 1) & PowerState) == 0;
        if (_awake)
            _bars.Place(_command);
    }

    private void WriteOther(int offset, int size, uint value)
    {
        if (_view.Write(offset, size, value))
            WriteDevice(offset, size, value);
        if (BarSet.IsRegister(offset))
        {
            if (_awake && (_command & Decode) != 0)
                _bars.Move(_command);
        }
        else if ((offset & ~3) == _msix?.Capability || (_msiAt != 0 && offset >= _msiAt && offset < _msiAt + 16))
        {
            _interrupts.Update(_command);
        }
    }

    /// <summary>
    /// A reset that the guest starts. VFIO restores the device's real configuration after it; what the guest finds is a function as after reset: memory off,
    /// BARs zero, interrupts off and all vectors masked.
    /// </summary>
    private void ResetFunction(int offset, int size, uint value)
    {
        Quiesce();
        WriteDevice(offset, size, value);
        WriteDevice(Command, 2, 0);
    }

    private void Quiesce()
    {
        _command = 0;
        _awake = true;
        _bars.Reset();
        _interrupts.Reset();
    }

    private bool StartsReset(int offset, int size, uint value)
    {
        foreach (var (register, bit) in _functionResets)
        {
            if (register == (offset & ~3) && (value << (8 * (offset & 3)) & ConfigSpace.Lanes(offset, size) & bit) != 0)
                return true;
        }
        return false;
    }

    private uint ReadDevice(int offset, int size)
    {
        Span<byte> data = stackalloc byte[4];
        _device.Read(_device.Config, (ulong)offset, data[..size]);
        return ConfigSpace.FromBytes(data[..size]);
    }

    private void WriteDevice(int offset, int size, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        _device.Write(_device.Config, (ulong)offset, data[..size]);
    }
}
