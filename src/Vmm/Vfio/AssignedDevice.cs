using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>A device that the guest owns, as a function on the guest's bus. Its parts are released by whoever made them: vectors, then BARs, then the device.</summary>
internal sealed class AssignedDevice : IPciFunction
{
    private const int Command = 4;
    private const uint MemoryEnable = 2;
    private const uint StartFunctionReset = 1 << 15;

    private readonly string _address;
    private readonly IVfioDevice _device;
    private readonly ConfigSpace _view;
    private readonly MsixLocation _msix;
    private readonly int _functionResetControl;
    private readonly MsixVectors _vectors;
    private readonly MsixTable _table;
    private readonly IReadOnlyList<AssignedBar> _bars;
    private readonly Lock _gate = new();
    private bool _memoryEnabled;

    /// <summary>Puts the parts together. The device starts with its memory switched off.</summary>
    public AssignedDevice(string address, IVfioDevice device, ConfigCapture capture, MsixVectors vectors, IReadOnlyList<AssignedBar> bars)
    {
        _address = address;
        _device = device;
        _view = capture.View;
        _msix = capture.MsixLocation!;
        _functionResetControl = capture.FunctionResetControl;
        _vectors = vectors;
        _table = new MsixTable(_msix.Count, vectors);
        _bars = bars;
        WriteDevice(Command, 2, 0);
    }

    public uint ReadConfig(int offset, int size)
    {
        lock (_gate)
            return _view.Merge(offset, size, _view.IsWhollyEmulated(offset, size) ? 0 : ReadDevice(offset, size));
    }

    public void WriteConfig(int offset, int size, uint value)
    {
        lock (_gate)
        {
            if (offset == Command)
            {
                WriteCommand(size, value);
                return;
            }
            if (_view.Write(offset, size, value))
                WriteDevice(offset, size, value);
            if (offset is >= 0x10 and < 0x28 && _memoryEnabled)
                MapBars();
            else if ((offset & ~3) == _msix.Capability)
                MessageControl();
            else if (_functionResetControl != 0 && offset == _functionResetControl && (value & StartFunctionReset) != 0)
                _table.Reset();
        }
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        lock (_gate)
        {
            value = ulong.MaxValue;
            if (Find(address, size) is not { } bar)
                return false;
            var offset = address - bar.Address;
            if (bar.Description.Index == _msix.TableBar && offset - _msix.TableOffset < TableBytes)
                value = _table.ReadTable(offset - _msix.TableOffset, size);
            else if (bar.Description.Index == _msix.PendingBar && offset - _msix.PendingOffset < PendingBytes)
                value = _table.ReadPending(offset - _msix.PendingOffset, size);
            else
                value = ReadRegion(bar, offset, size);
            return true;
        }
    }

    public bool TryWriteMemory(ulong address, int size, ulong value)
    {
        lock (_gate)
        {
            if (Find(address, size) is not { } bar)
                return false;
            var offset = address - bar.Address;
            if (bar.Description.Index == _msix.TableBar && offset - _msix.TableOffset < TableBytes)
                _table.WriteTable(offset - _msix.TableOffset, size, value);
            else if (bar.Description.Index != _msix.PendingBar || offset - _msix.PendingOffset >= PendingBytes)
                WriteRegion(bar, offset, size, value);
            return true;
        }
    }

    public DeviceVectors TakeVectors()
    {
        lock (_gate)
        {
            var used = Enumerable.Range(0, _table.Count).Where(_vectors.IsOnHost);
            return new DeviceVectors(_address, _table.Count, [.. used.Select(v => new VectorInfo(v, _vectors.Gsi(v), _table.IsMasked(v), _vectors.IsPending(v)))]);
        }
    }

    private ulong TableBytes => (ulong)_table.Count * MsixTable.EntryBytes;

    private ulong PendingBytes => ((ulong)_table.Count + 63) / 64 * 8;

    /// <summary>The guest never sees a mapping of a device whose memory is off: on is told to the device first, off to the mappings.</summary>
    private void WriteCommand(int size, uint value)
    {
        var enable = (value & MemoryEnable) != 0;
        if (_memoryEnabled && !enable)
        {
            _memoryEnabled = false;
            foreach (var bar in _bars)
                bar.Unmap();
        }
        WriteDevice(Command, size, value);
        if (!_memoryEnabled && enable)
        {
            _memoryEnabled = true;
            MapBars();
        }
    }

    private void MapBars()
    {
        foreach (var bar in _bars)
        {
            var register = 0x10 + (4 * bar.Description.Index);
            var address = (_view.Value(register) & ~0xfu) | (bar.Description.Is64Bit ? (ulong)_view.Value(register + 4) << 32 : 0);
            bar.Map(address);
        }
    }

    private void MessageControl()
    {
        var control = _view.Value(_msix.Capability) >> 16;
        _table.SetControl((control & MsixTable.EnableBit) != 0, (control & MsixTable.FunctionMaskBit) != 0);
    }

    private AssignedBar? Find(ulong address, int size)
    {
        if (!_memoryEnabled)
            return null;
        foreach (var bar in _bars)
        {
            if (bar.Contains(address, size))
                return bar;
        }
        return null;
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

    private ulong ReadRegion(AssignedBar bar, ulong offset, int size)
    {
        Span<byte> data = stackalloc byte[8];
        data.Clear();
        _device.Read(bar.Region, offset, data[..size]);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    private void WriteRegion(AssignedBar bar, ulong offset, int size, ulong value)
    {
        Span<byte> data = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        _device.Write(bar.Region, offset, data[..size]);
    }
}
