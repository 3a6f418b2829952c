using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Vfio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>
/// iommufd, the devices' own files and KVM's list of them, as Linux 6.12 has them (drivers/iommu/iommufd, drivers/vfio/device_cdev.c): refuses what the kernel refuses, in
/// the kernel's words. A device's other requests go to <see cref="Device"/>. No real iommufd has been asked.
/// </summary>
internal sealed class ScriptedIommufd : IVfioCalls, IKvmVfioFiles
{
    private const uint IoasId = 7;
    private readonly Lock _gate = new();
    private readonly Dictionary<uint, int> _refused = [];
    private readonly HashSet<SafeHandle> _bound = [], _attached = [], _known = [];
    private readonly List<SafeFileHandle> _iommufds = [];

    public ScriptedVfio Device { get; } = new();

    /// <summary>What was asked for, without the questions that change nothing. Bindings come in any order.</summary>
    public List<string> Journal { get; } = [];

    /// <summary>What the kernel would have suffered, and the VM with it.</summary>
    public List<string> Violations { get; } = [];

    /// <summary>What can be translated once a device is attached; before, everything can.</summary>
    public List<(ulong First, ulong Last)> Ranges { get; set; } = [(0, 0xfedf_ffff), (0xfef0_0000, 0xffff_ffff_ffff)];

    public List<IommuIoasMap> Mapped { get; } = [];

    /// <summary>Addresses that are no memory of this process: a BAR's.</summary>
    public ulong? BarAddress { get; set; }

    /// <summary>Runs while a device is being bound.</summary>
    public Action Binding { get; set; } = () => { };

    public int Attached => _attached.Count(f => !f.IsClosed);
    public int Known => _known.Count;

    /// <summary>True while the address space lives.</summary>
    public bool IsOpen => _iommufds.Exists(f => !f.IsClosed);

    public void Refuse(uint request, int error) => _refused[request] = error;

    public void Add(SafeFileHandle file)
    {
        lock (_gate)
        {
            if (_bound.Contains(file))
                Violations.Add("KVM heard of a device after it was bound.");
            Assert.True(_known.Add(file));
            Journal.Add("kvm+");
        }
    }

    public void Remove(SafeFileHandle file)
    {
        lock (_gate)
        {
            if (file.IsClosed)
                Violations.Add("A file was closed before KVM forgot it, which keeps it open.");
            Assert.True(_known.Remove(file));
            Journal.Add("kvm-");
        }
    }

    public void Dispose()
    {
    }

    public int Try(SafeHandle file, uint request, nint argument = 0) => IsOfDevice(request) && !IsBound(file) ? Fail(Errno.Invalid) : Device.Try(file, request, argument);

    public int Try(SafeHandle file, uint request, Span<byte> argument)
    {
        if (_refused.TryGetValue(request, out var error))
            return Fail(error);
        switch (request)
        {
            case IommufdRequests.IoasAllocate:
                Size(argument, 12);
                lock (_gate)
                    _iommufds.Add((SafeFileHandle)file);
                Journal.Add("ioas");
                BinaryPrimitives.WriteUInt32LittleEndian(argument[8..], IoasId);
                return 0;
            case VfioRequests.DeviceBindIommufd:
                return Bind(file, argument);
            case VfioRequests.DeviceAttachIommufdPageTable:
                return Attach(file, argument);
            case IommufdRequests.IoasIovaRanges:
                return TellRanges(argument);
            case IommufdRequests.IoasMap:
                return Map(argument);
            case IommufdRequests.IoasUnmap:
                Size(argument, 24);
                var unmap = MemoryMarshal.Read<IommuIoasUnmap>(argument);
                Assert.Equal(IoasId, unmap.IoasId);
                Journal.Add($"undma {unmap.Iova:x}+{unmap.Length:x}");
                return Mapped.RemoveAll(m => m.Iova == unmap.Iova && m.Length == unmap.Length) > 0 ? 0 : Fail(Errno.NoEntry);
            default:
                return IsOfDevice(request) && !IsBound(file) ? Fail(Errno.Invalid) : Device.Try(file, request, argument);
        }
    }

    private int Bind(SafeHandle file, Span<byte> argument)
    {
        Size(argument, 16);
        Binding();
        var bind = MemoryMarshal.Read<VfioDeviceBindIommufd>(argument);
        lock (_gate)
        {
            if (bind.Flags != 0 || !_bound.Add(file))
                return Fail(Errno.Invalid);
            if (!_iommufds.Exists(f => !f.IsClosed && (int)f.DangerousGetHandle() == bind.Iommufd))
                Violations.Add("A device was bound to something else than iommufd.");
            Journal.Add("bind");
        }
        return 0;
    }

    private int Attach(SafeHandle file, Span<byte> argument)
    {
        Size(argument, 12);
        var attach = MemoryMarshal.Read<VfioDeviceAttachIommufdPageTable>(argument);
        if (!IsBound(file) || attach.Flags != 0)
            return Fail(Errno.Invalid);
        if (attach.PageTableId != IoasId)
            return Fail(Errno.NoEntry);
        // What is mapped already must stay reachable.
        if (Mapped.Exists(m => !IsReachable(m)))
            return Fail(Errno.AddressInUse);
        _attached.Add(file);
        Journal.Add("attach");
        return 0;
    }

    private unsafe int TellRanges(Span<byte> argument)
    {
        Size(argument, 32);
        var request = MemoryMarshal.Read<IommuIoasIovaRanges>(argument);
        Assert.Equal(IoasId, request.IoasId);
        var ranges = Attached > 0 ? Ranges : [(0, ulong.MaxValue)];
        var room = request.Count;
        request.Count = (uint)ranges.Count;
        MemoryMarshal.Write(argument, request);
        if (ranges.Count > room)
            return Fail(Errno.MessageSize);
        var pairs = new Span<ulong>((void*)request.Array, 2 * ranges.Count);
        for (var i = 0; i < ranges.Count; i++)
            (pairs[2 * i], pairs[(2 * i) + 1]) = ranges[i];
        return 0;
    }

    private int Map(Span<byte> argument)
    {
        Size(argument, 40);
        var map = MemoryMarshal.Read<IommuIoasMap>(argument);
        Assert.Equal(IoasId, map.IoasId);
        if (map.HostAddress == BarAddress)
            return Fail(Errno.Fault);
        if (map.Flags != (IommufdRequests.MapFixedIova | IommufdRequests.MapReadable | IommufdRequests.MapWritable) || !IsReachable(map))
            return Fail(Errno.Invalid);
        if (Mapped.Exists(m => map.Iova < m.Iova + m.Length && m.Iova < map.Iova + map.Length))
            return Fail(Errno.Exists);
        Mapped.Add(map);
        Journal.Add($"dma {map.Iova:x}+{map.Length:x}");
        return 0;
    }

    private bool IsReachable(IommuIoasMap map) => Ranges.Exists(r => r.First <= map.Iova && map.Iova + (map.Length - 1) <= r.Last);

    private bool IsBound(SafeHandle file)
    {
        // A device is asked through another handle of the same descriptor.
        lock (_gate)
            return _bound.Any(f => !f.IsClosed && f.DangerousGetHandle() == file.DangerousGetHandle());
    }

    private static bool IsOfDevice(uint request) => request is >= VfioRequests.DeviceGetInfo and <= VfioRequests.DeviceReset;

    private static void Size(Span<byte> argument, int bytes) => Assert.Equal((bytes, bytes), (argument.Length, BinaryPrimitives.ReadInt32LittleEndian(argument)));

    private static int Fail(int error)
    {
        Marshal.SetLastPInvokeError(error);
        return -1;
    }
}
