using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// A paravirtual device as a function on the guest's bus, by the modern PCI transport of virtio 1.2. A notification never comes here, as long as
/// KVM takes it: an eventfd lies at each queue's register wherever the guest puts the BAR.
/// </summary>
internal sealed class VirtioFunction : IPciFunction, IDisposable
{
    private readonly VirtioDevice _device;
    private readonly IIoEventFds _kvm;
    private readonly VirtioInterrupts _interrupts;
    private readonly VirtioRegisters _registers;
    private readonly MsixTable _msix;
    private readonly ConfigSpace _space;
    private readonly bool[] _noticed;
    private readonly uint _firstAddress;
    private readonly Lock _gate = new();
    private uint _address;
    private bool _decodes;

    /// <param name="device">What it is.</param>
    /// <param name="ram">Guest memory.</param>
    /// <param name="vectors">Its vectors; the caller releases them after this.</param>
    /// <param name="kvm">Takes the notifications.</param>
    /// <param name="address">Where its BAR is at first.</param>
    public VirtioFunction(VirtioDevice device, GuestRam ram, VirtioVectors vectors, IIoEventFds kvm, uint address)
    {
        (_device, _kvm, _firstAddress) = (device, kvm, address);
        _interrupts = new VirtioInterrupts(vectors, device.Queues.Length);
        device.Attach(_interrupts);
        _registers = new VirtioRegisters(device, ram, _interrupts);
        _msix = new MsixTable(vectors.Count, vectors);
        _space = VirtioConfigSpace.Make(device, vectors.Count, address);
        _noticed = new bool[device.Queues.Length];
    }

    public VirtioDevice Device => _device;

    public uint ReadConfig(int offset, int size)
    {
        lock (_gate)
        {
            if ((offset & ~3) == VirtioConfigSpace.WindowData && Window(out var at, out var length))
                return (uint)ReadBar(at, length) >> (8 * (offset & 3)) & ConfigSpace.Lanes(0, size);
            return _space.Merge(offset, size, 0);
        }
    }

    public void WriteConfig(int offset, int size, uint value)
    {
        lock (_gate)
        {
            if ((offset & ~3) == VirtioConfigSpace.WindowData)
            {
                if (Window(out var at, out var length) && offset == VirtioConfigSpace.WindowData && size >= length)
                    WriteBar(at, length, value & ConfigSpace.Lanes(0, length));
                return;
            }
            _space.Write(offset, size, value);
            switch (offset & ~3)
            {
                case VirtioConfigSpace.Command or VirtioConfigSpace.Bar:
                    Decode();
                    break;
                case VirtioConfigSpace.Msix:
                    var control = _space.Value(VirtioConfigSpace.Msix) >> 16;
                    _msix.SetControl((control & MsixTable.EnableBit) != 0, (control & MsixTable.FunctionMaskBit) != 0);
                    break;
            }
        }
    }

    public bool TryReadMemory(ulong address, int size, out ulong value)
    {
        lock (_gate)
        {
            value = ulong.MaxValue;
            if (!Contains(address, size))
                return false;
            value = ReadBar((uint)(address - _address), size);
            return true;
        }
    }

    public bool TryWriteMemory(ulong address, int size, ulong value)
    {
        lock (_gate)
        {
            if (!Contains(address, size))
                return false;
            WriteBar((uint)(address - _address), size, value);
            return true;
        }
    }

    /// <summary>As the machine's reset leaves it: the driver gone, memory off, the BAR where it was at first.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            _registers.Reset();
            _msix.Reset();
            _space.Set(VirtioConfigSpace.Msix, (uint)(MsixTable.EnableBit | MsixTable.FunctionMaskBit) << 16, 0);
            _space.Set(VirtioConfigSpace.Command, 0xffff, 0);
            _space.Set(VirtioConfigSpace.Bar, uint.MaxValue, _firstAddress);
            Decode();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _device.Reset();
            Undecode();
        }
    }

    private bool Contains(ulong address, int size) => _decodes && address >= _address && address - _address <= VirtioConfigSpace.BarBytes - (ulong)size;

    /// <summary>What the driver has said of the window; false unless it lies in the BAR and is 1, 2 or 4 bytes, aligned.</summary>
    private bool Window(out uint at, out int length)
    {
        at = _space.Value(VirtioConfigSpace.WindowOffset);
        length = 0;
        if (_space.Value(VirtioConfigSpace.WindowLength) is not (1 or 2 or 4) || (_space.Value(VirtioConfigSpace.WindowBar) & 0xff) != 0)
            return false;
        length = (int)_space.Value(VirtioConfigSpace.WindowLength);
        return at < VirtioConfigSpace.BarBytes && at % (uint)length == 0;
    }

    private ulong ReadBar(uint offset, int size)
    {
        var at = (int)(offset % VirtioConfigSpace.PageBytes);
        switch ((int)(offset - (uint)at))
        {
            case VirtioConfigSpace.Common:
                return size == 8 ? _registers.Read(at, 4) | (ulong)_registers.Read(at + 4, 4) << 32 : _registers.Read(at, size);
            case VirtioConfigSpace.Isr:
                return at == 0 && size == 1 ? (ulong)_interrupts.TakeStatus() : 0;
            case VirtioConfigSpace.Device:
                ulong value = 0;
                for (var i = 0; i < size && at + i < _device.ConfigurationBytes; i++)
                    value |= (ulong)_device.ReadConfiguration(at + i) << (8 * i);
                return value;
            case VirtioConfigSpace.Table:
                return _msix.ReadTable((ulong)at, size);
            case VirtioConfigSpace.Pending:
                return _msix.ReadPending((ulong)at, size);
            default:
                return 0;
        }
    }

    private void WriteBar(uint offset, int size, ulong value)
    {
        var at = (int)(offset % VirtioConfigSpace.PageBytes);
        switch ((int)(offset - (uint)at))
        {
            case VirtioConfigSpace.Common when size == 8:
                _registers.Write(at, 4, (uint)value);
                _registers.Write(at + 4, 4, (uint)(value >> 32));
                break;
            case VirtioConfigSpace.Common:
                _registers.Write(at, size, (uint)value);
                break;
            case VirtioConfigSpace.Notify when at / VirtioConfigSpace.NotifyStep < _device.Notices.Length:
                _device.Notices[at / VirtioConfigSpace.NotifyStep].Signal();
                break;
            case VirtioConfigSpace.Table:
                _msix.WriteTable((ulong)at, size, value);
                break;
        }
    }

    private void Decode()
    {
        var address = _space.Value(VirtioConfigSpace.Bar);
        var wanted = (_space.Value(VirtioConfigSpace.Command) & VirtioConfigSpace.MemoryEnable) != 0
            && address >= MemoryMap.Mmio32 && address <= MemoryMap.Mmio32End - VirtioConfigSpace.BarBytes;
        if (wanted && _decodes && address == _address)
            return;
        Undecode();
        if (!wanted)
            return;
        (_address, _decodes) = (address, true);
        // Where KVM refuses (another device's BAR at the same place, say), the write comes here, which is slower and otherwise the same.
        for (var i = 0; i < _noticed.Length; i++)
            _noticed[i] = _kvm.TryAssignIoEventFd(_device.Notices[i], NoticeAddress(i));
    }

    private void Undecode()
    {
        for (var i = 0; i < _noticed.Length; i++)
        {
            if (_noticed[i])
                _kvm.DeassignIoEventFd(_device.Notices[i], NoticeAddress(i));
            _noticed[i] = false;
        }
        _decodes = false;
    }

    private ulong NoticeAddress(int queue) => _address + VirtioConfigSpace.Notify + (ulong)(queue * VirtioConfigSpace.NotifyStep);
}
