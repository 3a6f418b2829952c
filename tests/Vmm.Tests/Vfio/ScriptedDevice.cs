using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Vfio;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>
/// A device as VFIO shows one, by default with the shape of a VF of an 82576: BAR 0 and BAR 3 with 16 KiB each, three MSI-X vectors, their table in BAR 3 at 0
/// and the pending bits at 0x2000. What would end the process or upset the kernel on a real host is written down in <see cref="Violations"/>.
/// </summary>
internal sealed class ScriptedDevice : IVfioDevice
{
    private const int ConfigIndex = 7;
    private readonly VfioRegion[] _bars = [.. Enumerable.Repeat(VfioRegion.None, 6)];
    private bool _closed;
    private readonly Dictionary<int, byte[]> _memory = [];
    private readonly Dictionary<int, SafeFileHandle> _files = [];

    public ScriptedDevice()
    {
        Word(0x00, 0x10ca_8086);
        Word(0x04, 0x0010_0000);
        Word(0x08, 0x0200_0001);
        Word(0x0c, 0x0080_0000);
        Word(0x10, 0xc);
        Word(0x1c, 0xc);
        Word(0x34, 0x70);
        Word(0x70, 0x0002_a011);
        Word(0x74, 3);
        Word(0x78, 0x2003);
        // PCI Express endpoint that can reset its function.
        Word(0xa0, 0x0002_0010);
        Word(0xa4, 0x1000_8cc2);
        // AER, ARI, SR-IOV, serial number.
        Word(0x100, 0x1401_0001);
        Word(0x140, 0x1501_000e);
        Word(0x144, 0x0000_0100);
        Word(0x150, 0x1a01_0010);
        Word(0x154, 0x0000_0007);
        Word(0x1a0, 0x0001_0003);
        SetBar(0, 0x4000);
        SetBar(3, 0x4000);
    }

    public List<string> Journal { get; } = [];
    public List<string> Violations { get; } = [];
    public byte[] Bytes { get; } = new byte[4096];
    public IReadOnlyList<VfioRegion> Bars => _bars;
    public VfioRegion Config { get; } = new(4096, (ulong)ConfigIndex << 40, false, false, null);
    public VfioRegion Rom { get; private set; } = VfioRegion.None;
    public int MsixCount { get; set; } = 3;
    public int MsiCount { get; set; }

    /// <summary>1 for a device with a pin that VFIO serves.</summary>
    public int IntxCount { get; set; }

    /// <summary>1 for a kernel that tells of requests and errors.</summary>
    public int NewsCount { get; set; }

    /// <summary>How many vectors the host still has; those of VFIO_DEVICE_SET_IRQS beyond are refused.</summary>
    public int HostHas { get; set; } = int.MaxValue;

    public bool RefuseUnmask { get; set; }

    public int Resets { get; private set; }
    public bool MsixGrows { get; set; } = true;

    /// <summary>Error that VFIO_DEVICE_SET_IRQS gives; 0 for none.</summary>
    public int RefuseMsix { get; set; }

    public bool RefuseMap { get; set; }

    /// <summary>Writes nothing down, so that a test can count what the code under test allocates.</summary>
    public bool Silent { get; set; }

    public int HostVectors { get; private set; }
    /// <summary>Those of MSI-X.</summary>
    public Dictionary<int, EventFd?> Triggers { get; } = [];

    /// <summary>Those of the other kinds.</summary>
    public Dictionary<VfioInterrupt, EventFd?[]> Others { get; } = [];
    public EventFd? Unmask { get; private set; }
    public List<(int Bar, ulong Offset, ulong Value)> BarWrites { get; } = [];

    /// <summary>How many pieces of BARs the guest reaches; kept by the one that shows them.</summary>
    public int ShownPieces { get; set; }

    public bool Answers => (Bytes[4] & 2) != 0;

    public void Word(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan(offset), value);

    public void SetBar(int index, int size, bool msixMappable = true, IReadOnlyList<(ulong Offset, ulong Size)>? sparse = null, bool mappable = true)
    {
        _bars[index] = new VfioRegion((ulong)size, (ulong)index << 40, mappable, msixMappable, sparse);
        _memory[index] = new byte[size];
        _files[index] = MemoryFile.Create($"bar{index}", Math.Max(size, 4096));
    }

    public void SetRom(int size)
    {
        Rom = new VfioRegion((ulong)size, 6UL << 40, false, false, null);
        _memory[6] = new byte[size];
    }

    public byte[] Memory(int bar) => _memory[bar];

    /// <summary>The hardware raises a vector.</summary>
    /// <returns>False if nobody would notice.</returns>
    public bool Fire(int vector)
    {
        if (Triggers.GetValueOrDefault(vector) is not { } trigger)
            return false;
        trigger.Signal();
        return true;
    }

    public void Read(VfioRegion region, ulong offset, Span<byte> data)
    {
        if (Find(region, offset, data.Length) is { } source)
            source.AsSpan((int)offset, data.Length).CopyTo(data);
        else
            data.Fill(0xff);
    }

    public void Write(VfioRegion region, ulong offset, ReadOnlySpan<byte> data)
    {
        if (Find(region, offset, data.Length) is not { } target)
            return;
        data.CopyTo(target.AsSpan((int)offset));
        if (!ReferenceEquals(target, Bytes))
        {
            Span<byte> value = stackalloc byte[8];
            value.Clear();
            data.CopyTo(value);
            BarWrites.Add(((int)(region.Offset >> 40), offset, BinaryPrimitives.ReadUInt64LittleEndian(value)));
            return;
        }
        if (offset < 0x74 && offset + (ulong)data.Length > 0x70)
            Violations.Add("The MSI-X control bits are the kernel's, and were written.");
        if (offset == 4)
            Journal.Add($"command {data[0]:x2}");
        if (!Answers && ShownPieces > 0)
            Violations.Add("The device stopped to answer while the guest could still reach its BARs.");
    }

    public int InterruptCount(VfioInterrupt kind) => kind switch
    {
        VfioInterrupt.Msix => MsixCount,
        VfioInterrupt.Msi => MsiCount,
        VfioInterrupt.Intx => IntxCount,
        _ => NewsCount,
    };

    public int TrySetTriggers(VfioInterrupt kind, int first, ReadOnlySpan<EventFd?> triggers)
    {
        if (RefuseMsix != 0)
            return Refuse(RefuseMsix);
        if (kind is VfioInterrupt.Request or VfioInterrupt.Error)
        {
            Others[kind] = triggers.ToArray();
            return 0;
        }
        if (IsOn(VfioInterrupt.Msix) && kind != VfioInterrupt.Msix || Others.Keys.Any(k => k != kind && k is VfioInterrupt.Msi or VfioInterrupt.Intx && IsOn(k)))
            return Refuse(Errno.Invalid);
        if (kind != VfioInterrupt.Msix)
        {
            if (triggers.Length > HostHas)
                return HostHas;
            Others[kind] = triggers.ToArray();
            Note($"{kind.ToString().ToLowerInvariant()} {first}+{triggers.Length}");
            return 0;
        }
        if (first + triggers.Length > MsixCount || (!MsixGrows && HostVectors > 0 && first + triggers.Length > HostVectors))
            return Refuse(Errno.Invalid);
        // Without resizing the kernel takes all up to the last; with it, one for each that is given.
        var needed = MsixGrows ? Triggers.Keys.Union(Enumerable.Range(first, triggers.Length)).Count() : first + triggers.Length;
        if (needed > HostHas)
            return MsixGrows ? Refuse(Errno.NoSpace) : HostHas;
        HostVectors = Math.Max(HostVectors, first + triggers.Length);
        for (var i = 0; i < triggers.Length; i++)
            Triggers[first + i] = triggers[i];
        Note($"msix {first}+{triggers.Length}");
        return 0;
    }

    public bool TrySetUnmask(EventFd unmask)
    {
        if (RefuseUnmask || !IsOn(VfioInterrupt.Intx))
        {
            Refuse(Errno.Invalid);
            return false;
        }
        Unmask = unmask;
        Note("unmask");
        return true;
    }

    public void Disable(VfioInterrupt kind)
    {
        if (!IsOn(kind))
            Violations.Add($"{kind} was switched off that was not on.");
        if (kind == VfioInterrupt.Msix)
        {
            HostVectors = 0;
            Triggers.Clear();
        }
        else
        {
            Others.Remove(kind);
        }
        Note($"{kind.ToString().ToLowerInvariant()} off");
    }

    public bool TryReset()
    {
        Resets++;
        Note("reset");
        return true;
    }

    private bool IsOn(VfioInterrupt kind) => kind == VfioInterrupt.Msix ? HostVectors > 0 : Others.ContainsKey(kind);

    public Mapping Map(VfioRegion region, ulong offset, ulong size)
    {
        if (RefuseMap)
            throw new LinuxException("mmap", Errno.Invalid);
        Note($"map {region.Offset >> 40} {offset:x}+{size:x}");
        return Mapping.Share(_files[(int)(region.Offset >> 40)], (long)offset, size);
    }

    public void Dispose()
    {
        if (_closed)
            return;
        _closed = true;
        if (ShownPieces > 0)
            Violations.Add("The device was closed while the guest could still reach its BARs.");
        Note("close");
        foreach (var file in _files.Values)
            file.Dispose();
    }

    private static int Refuse(int error)
    {
        Marshal.SetLastPInvokeError(error);
        return -1;
    }

    private byte[]? Find(VfioRegion region, ulong offset, int length)
    {
        var memory = region.Offset >> 40 == ConfigIndex ? Bytes : _memory.GetValueOrDefault((int)(region.Offset >> 40));
        return memory is not null && offset + (ulong)length <= (ulong)memory.Length ? memory : null;
    }

    private void Note(string entry)
    {
        if (!Silent)
            Journal.Add(entry);
    }
}
