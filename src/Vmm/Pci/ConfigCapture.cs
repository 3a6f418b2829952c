using System.Buffers.Binary;

namespace Exitless.Vmm.Pci;

/// <summary>
/// Reads a device's configuration space once and makes the guest's view of it. Hidden are what only works with the host's help (SR-IOV, ARI,
/// resizable BARs, ATS, PRI, PASID), MSI's own mask bits, and the multi-function bit, which is the bus's to say.
/// </summary>
internal sealed class ConfigCapture
{
    private const int MaxCapabilities = 48, MaxExtended = 256;
    private const int PowerManagement = 0x01, Msi = 0x05, PciExpress = 0x10, Msix = 0x11, AdvancedFeatures = 0x13, EnhancedAllocation = 0x14;
    private readonly byte[] _device;
    private readonly List<(int Register, uint Bit)> _functionResets = [];

    /// <param name="device">Configuration space as VFIO gives it, 256 or 4096 bytes.</param>
    public ConfigCapture(byte[] device)
    {
        _device = device;
        WalkCapabilities();
        if (device.Length > 0x100)
            WalkExtended();
        else
            View.Patch(0x100, uint.MaxValue, uint.MaxValue);
        // Header type: one function only. Interrupt line is scratch, and there is no pin until somebody serves it.
        View.Patch(0x0c, 0x00800000, 0);
        View.Patch(0x3c, 0x0000ffff, 0x000000ff, writable: 0xff);
        View.Patch(0x30, uint.MaxValue, 0);
        for (var bar = 0; bar < 6; bar++)
            View.Patch(0x10 + (4 * bar), uint.MaxValue, 0);
    }

    /// <summary>The guest's view.</summary>
    public ConfigSpace View { get; } = new();

    /// <summary>Null if the device has no MSI-X.</summary>
    public MsixLocation? MsixLocation { get; private set; }

    /// <summary>The bits, in aligned dwords, by which the guest can start a reset of the function (FLR).</summary>
    public IReadOnlyList<(int Register, uint Bit)> FunctionResets => _functionResets;

    /// <summary>Null if the device has no MSI.</summary>
    public MsiLocation? MsiLocation { get; private set; }

    /// <summary>Offset of the power management control register; 0 if there is none.</summary>
    public int PowerControl { get; private set; }

    /// <summary>The pin of INTx, 1 to 4; 0 for none.</summary>
    public int Pin => (int)(Dword(0x3c) >> 8 & 0xff) is var pin and <= 4 ? pin : 0;

    /// <summary>
    /// True for a function that says it has others beside it. One without a pin is not believed: VFs have none (the SR-IOV specification demands it), and their neighbours
    /// are devices of their own.
    /// </summary>
    public bool IsMultiFunction => (Dword(0x0c) & 0x0080_0000) != 0 && Pin != 0;

    /// <summary>The BARs.</summary>
    /// <param name="sizes">Size of each BAR's region; 0 for none.</param>
    public List<BarDescription> Bars(IReadOnlyList<ulong> sizes)
    {
        var bars = new List<BarDescription>();
        for (var i = 0; i < 6; i++)
        {
            var flags = Dword(0x10 + (4 * i)) & 0xf;
            if (sizes[i] == 0)
                continue;
            var bar = new BarDescription(i, sizes[i], (flags & 1) != 0 ? flags & 3 : flags);
            bars.Add(bar);
            if (bar.Is64Bit)
                i++;
        }
        return bars;
    }

    /// <summary>Makes a BAR the guest's, at an address; sizing it works as on hardware.</summary>
    public void PlaceBar(BarDescription bar, ulong address)
    {
        var mask = ~(bar.Size - 1);
        // A ROM is switched on by a bit of its own.
        View.Patch(bar.Register, uint.MaxValue, (uint)address | bar.Flags, writable: ((uint)mask & bar.AddressMask) | (bar.IsRom ? 1u : 0));
        if (bar.Is64Bit)
            View.Patch(bar.Register + 4, uint.MaxValue, (uint)(address >> 32), writable: (uint)(mask >> 32));
    }

    /// <summary>Shows the guest that the device has a pin.</summary>
    public void ShowPin() => View.Patch(0x3c, 0x0000ff00, (uint)Pin << 8);

    private uint Dword(int offset) => offset + 4 <= _device.Length ? BinaryPrimitives.ReadUInt32LittleEndian(_device.AsSpan(offset)) : 0;

    private void WalkCapabilities()
    {
        const uint hasCapabilities = 0x00100000;
        var found = new List<int>();
        var at = (Dword(4) & hasCapabilities) != 0 ? (int)(Dword(0x34) & 0xfc) : 0;
        for (var i = 0; i < MaxCapabilities && at >= 0x40 && !found.Contains(at); i++, at = (int)(Dword(at) >> 8 & 0xfc))
            found.Add(at);
        var kept = found.FindAll(c => HiddenBytes(c) == 0);
        foreach (var hidden in found.Except(kept))
            Hide(hidden, HiddenBytes(hidden), found, 0x100);
        foreach (var taken in kept)
            Take(taken);
        View.Patch(0x34, 0xff, (uint)(kept.Count > 0 ? kept[0] : 0));
        for (var i = 0; i < kept.Count; i++)
            View.Patch(kept[i], 0xff00, (uint)(i + 1 < kept.Count ? kept[i + 1] : 0) << 8);
    }

    private void Take(int at)
    {
        switch ((int)(Dword(at) & 0xff))
        {
            case Msix:
                TakeMsix(at);
                break;
            case Msi:
                TakeMsi(at);
                break;
            case PowerManagement:
                PowerControl = at + 4;
                break;
            case PciExpress when (Dword(at + 4) & 1 << 28) != 0:
                _functionResets.Add((at + 8, 1 << 15));
                break;
            case AdvancedFeatures when (Dword(at) & 1 << 25) != 0:
                _functionResets.Add((at + 4, 1));
                break;
        }
    }

    /// <summary>Bytes of a capability that the guest must not see; 0 for the others.</summary>
    private int HiddenBytes(int at) => (int)(Dword(at) & 0xff) switch
    {
        EnhancedAllocation => 4,
        // Of those that the VMM emulates, one that reaches beyond the end is none.
        Msi when at + MsiBytes(Dword(at)) > 0x100 => 4,
        PowerManagement when at + 8 > 0x100 => 4,
        _ => 0,
    };

    private static int MsiBytes(uint header)
    {
        const uint is64Bit = 1 << 23, hasMasks = 1 << 24;
        return 10 + ((header & is64Bit) != 0 ? 4 : 0) + ((header & hasMasks) != 0 ? 10 : 0);
    }

    /// <summary>All of MSI is the VMM's: the kernel programs the device. Without masks of its own: what they would hold back cannot be had from VFIO.</summary>
    private void TakeMsi(int at)
    {
        const uint is64Bit = 1 << 23, hasMasks = 1 << 24;
        var header = Dword(at);
        var wide = (header & is64Bit) != 0;
        MsiLocation = new MsiLocation(at, 1 << (int)Math.Min(header >> 17 & 7, 5), wide);
        View.Patch(at, 0xffff_0000 | 0xff, (header & (0xff | is64Bit)) | Math.Min(header >> 17 & 7, 5) << 17, writable: MsiLocation.EnableBit | MsiLocation.CountBits);
        View.Patch(at + 4, uint.MaxValue, 0, writable: ~3u);
        if (wide)
            View.Patch(at + 8, uint.MaxValue, 0, writable: uint.MaxValue);
        // The data register has two bytes; the two behind it are another capability's if this one is the short kind.
        var data = at + (wide ? 12 : 8);
        View.Patch(data, 0xffff, 0, writable: 0xffff);
        if ((header & hasMasks) != 0)
        {
            View.Patch(data, 0xffff_0000, 0);
            View.Patch(data + 4, uint.MaxValue, 0);
            View.Patch(data + 8, uint.MaxValue, 0);
        }
    }

    private void TakeMsix(int at)
    {
        var table = Dword(at + 4);
        var pending = Dword(at + 8);
        MsixLocation = new MsixLocation(at, (int)(Dword(at) >> 16 & 0x7ff) + 1, (int)(table & 7), table & ~7u, (int)(pending & 7), pending & ~7u);
        // The kernel owns the device's own enable bit: a write to it would tear the vectors down. So no bit of the dword is the device's.
        View.Patch(at, uint.MaxValue, Dword(at) & 0x07ffffff, writable: (uint)(MsixTable.EnableBit | MsixTable.FunctionMaskBit) << 16);
    }

    private void WalkExtended()
    {
        var found = new List<int>();
        var at = 0x100;
        for (var i = 0; i < MaxExtended && at >= 0x100 && !found.Contains(at) && Dword(at) is not (0 or uint.MaxValue); i++, at = (int)(Dword(at) >> 20 & 0xffc))
            found.Add(at);
        var kept = found.FindAll(c => HiddenExtendedBytes(c) == 0);
        foreach (var hidden in found.Except(kept))
            Hide(hidden, HiddenExtendedBytes(hidden), found, ConfigSpace.Bytes);
        if (kept.Count == 0)
        {
            View.Patch(0x100, uint.MaxValue, 0);
            return;
        }
        // The chain always begins at 0x100: where that capability is hidden, one with the null id takes its place.
        if (kept[0] != 0x100)
            View.Patch(0x100, uint.MaxValue, 0x10000 | (uint)kept[0] << 20);
        for (var i = 0; i < kept.Count; i++)
            View.Patch(kept[i], 0xfff00000, (uint)(i + 1 < kept.Count ? kept[i + 1] : 0) << 20);
    }

    /// <summary>Bytes of an extended capability that the guest must not see; 0 for the others.</summary>
    private int HiddenExtendedBytes(int at) => (int)(Dword(at) & 0xffff) switch
    {
        0x0e => 8, // ARI
        0x0f => 8, // ATS
        0x10 => 64, // SR-IOV
        0x13 => 16, // page requests
        0x15 => 52, // resizable BARs
        0x1b => 8, // PASID
        0x24 => 52, // resizable VF BARs
        _ => 0,
    };

    /// <summary>Hides a capability, but nothing of the next one: lengths vary, and a device may say what it likes.</summary>
    private void Hide(int at, int bytes, List<int> found, int end)
    {
        var next = found.Where(c => c > at).Append(end).Min();
        for (var i = at; i < at + bytes && i < next; i += 4)
            View.Patch(i, uint.MaxValue, 0);
    }
}
