using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>A device that is open, reset and examined, but not yet on the guest's bus.</summary>
/// <param name="Config">What was asked for.</param>
/// <param name="Field">Where, in the user's words.</param>
/// <param name="Device">The device.</param>
/// <param name="Capture">Its configuration space.</param>
/// <param name="Bars">The BARs that the guest gets, and their places.</param>
internal sealed record OpenedDevice(VfioDeviceConfig Config, string Field, IVfioDevice Device, ConfigCapture Capture, IReadOnlyList<(BarDescription Description, BarRequest Request)> Bars)
{
    // What a guest reads of it is kept in memory.
    private const ulong LargestRom = 4 << 20;

    /// <summary>Reads a device's configuration space, and checks that the device can be assigned.</summary>
    /// <exception cref="VmmProblemException">device-bar-unsupported.</exception>
    public static OpenedDevice Examine(VfioDeviceConfig config, string field, IVfioDevice device)
    {
        var bytes = new byte[Math.Min(device.Config.Size, ConfigSpace.Bytes)];
        device.Read(device.Config, 0, bytes);
        var capture = new ConfigCapture(bytes);
        var bars = capture.Bars([.. device.Bars.Select(b => b.Size)]);
        foreach (var bar in bars)
        {
            if (bar.Size < (bar.IsIo ? 4u : 16u) || (bar.Size & (bar.Size - 1)) != 0)
                throw Unsupported($"BAR {bar.Index} of {config.Address} has {bar.Size:#,0} bytes; a BAR has a power of two, {(bar.IsIo ? 4 : 16)} or more.", field);
            if (bar is { Is64Bit: true, Index: 5 })
                throw Unsupported($"BAR 5 of {config.Address} says that it is 64 bits wide; there is no BAR 6 for the upper half.", field);
        }
        CheckTable(config, field, capture, bars);
        var shown = bars.ConvertAll(b => !b.IsIo && BarAreas.FillsItsPage(device.Bars[b.Index], Holes(capture, b.Index)) ? b with { Size = BarAreas.Page } : b);
        // A ROM is a convenience: one that is odd is left out.
        if (device.Rom.Size is >= 2048 and <= LargestRom && (device.Rom.Size & (device.Rom.Size - 1)) == 0)
            shown.Add(new BarDescription(BarDescription.Rom, device.Rom.Size, 0));
        return new OpenedDevice(config, field, device, capture, [.. shown.Select(b => (b, new BarRequest(config.Address, b.Index, b.Size, b.Is64Bit, field) { IsIo = b.IsIo }))]);
    }

    /// <summary>Where in a BAR the MSI-X structures are.</summary>
    public static List<(ulong Offset, ulong Size)> Holes(ConfigCapture capture, int bar)
    {
        var holes = new List<(ulong, ulong)>();
        if (capture.MsixLocation is not { } location)
            return holes;
        if (location.TableBar == bar)
            holes.Add((location.TableOffset, location.TableBytes));
        if (location.PendingBar == bar)
            holes.Add((location.PendingOffset, location.PendingBytes));
        return holes;
    }

    private static void CheckTable(VfioDeviceConfig config, string field, ConfigCapture capture, List<BarDescription> bars)
    {
        if (capture.MsixLocation is not { } location)
            return;
        foreach (var (bar, end) in new[] { (location.TableBar, location.TableOffset + location.TableBytes), (location.PendingBar, location.PendingOffset + location.PendingBytes) })
        {
            if (bars.Find(b => b.Index == bar && !b.IsIo) is not { } holder || end > holder.Size)
                throw Unsupported($"The MSI-X structures of {config.Address} reach 0x{end:x} in BAR {bar}, which is not there or is smaller.", field);
        }
    }

    internal static VmmProblemException Unsupported(string detail, string field) =>
        new("device-bar-unsupported", "The device's memory cannot be given to a VM.", detail, "Choose another device.", field);
}
