using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>A device that the guest owns, as a function on the guest's bus. Its parts are released by whoever made them: vectors, then BARs, then the device.</summary>
internal sealed class AssignedDevice : IPciFunction
{
    private const int Command = 4;
    private const uint MemoryEnable = 2;

    private readonly string _address;
    private readonly IVfioDevice _device;
    private readonly ConfigSpace _view;
    private readonly MsixLocation _msix;
    private readonly (int Register, uint Bit)[] _functionResets;
    private readonly MsixVectors _vectors;
    private readonly MsixTable _table;
    // An array: over an interface, foreach would allocate an enumerator on each trapped access.
    private readonly AssignedBar[] _bars;
    private readonly Lock _gate = new();
    private bool _memoryEnabled;

    /// <summary>Puts the parts together. The device starts with its memory switched off.</summary>
    public AssignedDevice(string address, IVfioDevice device, ConfigCapture capture, MsixVectors vectors, IReadOnlyList<AssignedBar> bars)
    {
        _address = address;
        _device = device;
        _view = capture.View;
        _msix = capture.MsixLocation!;
        _functionResets = [.. capture.FunctionResets];
        _vectors = vectors;
        _table = new MsixTable(_msix.Count, vectors);
        _bars = [.. bars];
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
            if (StartsReset(offset, size, value))
            {
                ResetFunction(offset, size, value);
                return;
            }
            if (_view.Write(offset, size, value))
                WriteDevice(offset, size, value);
            if (offset is >= 0x10 and < 0x28 && _memoryEnabled)
                MapBars();
            else if ((offset & ~3) == _msix.Capability)
                MessageControl();
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
            UnmapBars();
        }
        WriteDevice(Command, size, value);
        if (!_memoryEnabled && enable)
        {
            _memoryEnabled = true;
            MapBars();
        }
    }

    /// <summary>
    /// A reset that the guest starts. VFIO restores the device's real configuration after it; what the guest finds is a function as after reset: memory off,
    /// BARs zero, MSI-X off and all vectors masked.
    /// </summary>
    private void ResetFunction(int offset, int size, uint value)
    {
        _memoryEnabled = false;
        UnmapBars();
        _table.Reset();
        _view.Set(_msix.Capability, (uint)(MsixTable.EnableBit | MsixTable.FunctionMaskBit) << 16, 0);
        foreach (var bar in _bars)
        {
            _view.Set(Register(bar), ~0xfu, 0);
            if (bar.Description.Is64Bit)
                _view.Set(Register(bar) + 4, uint.MaxValue, 0);
        }
        WriteDevice(offset, size, value);
        WriteDevice(Command, 2, 0);
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

    /// <summary>All leave their old places before any takes a new one: two may swap.</summary>
    private void MapBars()
    {
        UnmapBars();
        foreach (var bar in _bars)
        {
            var register = Register(bar);
            var address = (_view.Value(register) & ~0xfu) | (bar.Description.Is64Bit ? (ulong)_view.Value(register + 4) << 32 : 0);
            bar.Map(address);
        }
    }

    private void UnmapBars()
    {
        foreach (var bar in _bars)
            bar.Unmap();
    }

    private static int Register(AssignedBar bar) => 0x10 + (4 * bar.Description.Index);

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
