using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>
/// VFIO's ioctls with a container, groups and one device; each answer can be changed. The device's file is a memory file, so reads, writes and mappings are real.
/// </summary>
internal sealed class ScriptedVfio : IVfioCalls
{
    public const ulong ConfigOffset = 0x8000, BarOffset = 0x1_0000;
    public const int FileBytes = 0x2_0000;

    private readonly Dictionary<uint, int> _refused = [];

    /// <summary>What was asked for, without the questions that change nothing.</summary>
    public List<string> Journal { get; } = [];
    public int Version { get; set; }
    public int Type1 { get; set; } = 1;
    public uint GroupFlags { get; set; } = VfioRequests.GroupViable;
    public uint DeviceFlags { get; set; } = VfioRequests.DeviceIsPci | VfioRequests.DeviceCanReset;
    public uint IrqFlags { get; set; } = 1;
    public IReadOnlyList<(ulong First, ulong Last)>? Ranges { get; set; } = [(0, 0xfedf_ffff), (0xfef0_0000, 0xffff_ffff_ffff)];

    /// <summary>How many other capabilities come before that of the ranges or sparse areas.</summary>
    public int Padding { get; set; }

    public IReadOnlyList<(ulong Offset, ulong Size)>? Sparse { get; set; }
    public bool MsixMappable { get; set; }
    public List<VfioDmaMap> Mapped { get; } = [];

    /// <summary>The last VFIO_DEVICE_SET_IRQS.</summary>
    public int[] LastIrqs { get; private set; } = [];

    /// <summary>The descriptor that was given out as the device.</summary>
    public int DeviceDescriptor { get; private set; } = -1;

    public void Refuse(uint request, int error) => _refused[request] = error;

    public int Try(SafeHandle file, uint request, nint argument = 0)
    {
        if (Refused(request))
            return -1;
        switch (request)
        {
            case VfioRequests.GetApiVersion:
                return Version;
            case VfioRequests.CheckExtension:
                return argument == VfioRequests.Type1V2 ? Type1 : 0;
            case VfioRequests.SetIommu:
                Journal.Add($"iommu {argument}");
                return 0;
            case VfioRequests.DeviceReset:
                Journal.Add("reset");
                return 0;
            case VfioRequests.GroupUnsetContainer:
                Journal.Add("leave");
                return 0;
            default:
                return Unknown();
        }
    }

    public int Try(SafeHandle file, uint request, Span<byte> argument)
    {
        if (Refused(request))
            return -1;
        switch (request)
        {
            case VfioRequests.GroupGetStatus:
                BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], GroupFlags);
                return 0;
            case VfioRequests.GroupSetContainer:
                Journal.Add("join");
                return 0;
            case VfioRequests.IommuGetInfo:
                return Answer(argument, 24, 16, VfioRequests.IommuHasCapabilities, Ranges is null ? [] : [(VfioRequests.IovaRangeCapability, Pairs(Ranges))]);
            case VfioRequests.IommuMapDma:
                var map = MemoryMarshal.Read<VfioDmaMap>(argument);
                Mapped.Add(map);
                Journal.Add($"dma {map.Iova:x}+{map.Size:x}");
                return 0;
            case VfioRequests.IommuUnmapDma:
                var unmap = MemoryMarshal.Read<VfioDmaUnmap>(argument);
                Journal.Add($"undma {unmap.Iova:x}+{unmap.Size:x}");
                return 0;
            case VfioRequests.GroupGetDeviceFd:
                return Open(argument);
            case VfioRequests.DeviceGetInfo:
                BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], DeviceFlags);
                BinaryPrimitives.WriteUInt32LittleEndian(argument[8..], 9);
                BinaryPrimitives.WriteUInt32LittleEndian(argument[12..], 5);
                return 0;
            case VfioRequests.DeviceGetRegionInfo:
                return Region(argument);
            case VfioRequests.DeviceGetIrqInfo:
                var kind = (VfioInterrupt)BinaryPrimitives.ReadUInt32LittleEndian(argument[8..]);
                BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], IrqFlags);
                BinaryPrimitives.WriteUInt32LittleEndian(argument[12..], kind switch { VfioInterrupt.Msix => 3u, VfioInterrupt.Msi => 0, _ => 1 });
                return 0;
            case VfioRequests.DeviceSetIrqs:
                LastIrqs = MemoryMarshal.Cast<byte, int>(argument).ToArray();
                return 0;
            default:
                return Unknown();
        }
    }

    private bool Refused(uint request)
    {
        if (!_refused.TryGetValue(request, out var error))
            return false;
        Marshal.SetLastPInvokeError(error);
        return true;
    }

    private static int Unknown()
    {
        Marshal.SetLastPInvokeError(Errno.NotTerminal);
        return -1;
    }

    private int Open(Span<byte> name)
    {
        Assert.Equal("0000:01:10.0\0"u8.ToArray(), name.ToArray());
        var file = MemoryFile.Create("device", FileBytes);
        DeviceDescriptor = (int)file.DangerousGetHandle();
        file.SetHandleAsInvalid();
        return DeviceDescriptor;
    }

    /// <summary>BAR 3 with 16 KiB and the configuration space; the other regions have no bytes, and region 4 is refused.</summary>
    private int Region(Span<byte> argument)
    {
        var index = BinaryPrimitives.ReadUInt32LittleEndian(argument[8..]);
        if (index == 4)
        {
            Marshal.SetLastPInvokeError(Errno.Invalid);
            return -1;
        }
        var (size, offset, flags) = index switch { 3 => (0x4000ul, BarOffset, 3u | VfioRequests.RegionMappable), VfioRequests.ConfigRegion => (4096ul, ConfigOffset, 3u), _ => (0ul, 0ul, 0u) };
        BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(argument[16..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(argument[24..], offset);
        var capabilities = new List<(ushort, byte[])>();
        if (index == 3 && Sparse is not null)
            capabilities.Add((VfioRequests.SparseMmapCapability, Pairs(Sparse)));
        if (index == 3 && MsixMappable)
            capabilities.Add((VfioRequests.MsixMappableCapability, []));
        return Answer(argument, 32, 12, VfioRequests.RegionHasCapabilities, capabilities);
    }

    /// <summary>As the kernel does: without room for the chain it only says how much room is needed.</summary>
    private int Answer(Span<byte> argument, int fixedBytes, int chainField, uint flag, List<(ushort Id, byte[] Body)> capabilities)
    {
        var whole = argument[..fixedBytes].ToArray().ToList();
        if (capabilities.Count > 0)
            capabilities = [.. Enumerable.Repeat(((ushort)99, new byte[8]), Padding), .. capabilities];
        for (var i = 0; i < capabilities.Count; i++)
        {
            var at = whole.Count;
            var next = i + 1 < capabilities.Count ? at + 8 + capabilities[i].Body.Length : 0;
            whole.AddRange([.. BitConverter.GetBytes(capabilities[i].Id), 1, 0, .. BitConverter.GetBytes(next), .. capabilities[i].Body]);
        }
        var fits = whole.Count <= BinaryPrimitives.ReadInt32LittleEndian(argument);
        if (fits)
            CollectionsMarshal.AsSpan(whole)[fixedBytes..].CopyTo(argument[fixedBytes..]);
        BinaryPrimitives.WriteInt32LittleEndian(argument, whole.Count);
        if (capabilities.Count > 0)
            BinaryPrimitives.WriteUInt32LittleEndian(argument[4..], BinaryPrimitives.ReadUInt32LittleEndian(argument[4..]) | flag);
        BinaryPrimitives.WriteInt32LittleEndian(argument[chainField..], fits && capabilities.Count > 0 ? fixedBytes : 0);
        return 0;
    }

    private static byte[] Pairs(IReadOnlyList<(ulong First, ulong Second)> pairs) =>
        [.. BitConverter.GetBytes(pairs.Count), 0, 0, 0, 0, .. pairs.SelectMany(p => BitConverter.GetBytes(p.First).Concat(BitConverter.GetBytes(p.Second)))];
}
