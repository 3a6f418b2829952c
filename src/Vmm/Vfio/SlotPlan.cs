namespace Exitless.Vmm.Vfio;

/// <summary>
/// Which devices share a slot of the guest's bus: the functions of a multi-function device stay together with the numbers that they have on the host, provided that
/// function 0 is among them, for without it a guest does not look for the others. Everything else gets a slot of its own.
/// </summary>
internal static class SlotPlan
{
    /// <summary>The slots, each a list of devices with their function numbers, function 0 last.</summary>
    public static List<List<(int Function, OpenedDevice Device)>> Of(IReadOnlyList<OpenedDevice> devices)
    {
        var slots = new List<List<(int, OpenedDevice)>>();
        foreach (var whole in devices.GroupBy(d => Split(d.Config.Address).Slot, StringComparer.Ordinal))
        {
            var together = whole.Any(d => Split(d.Config.Address).Function == 0 && d.Capture.IsMultiFunction);
            if (together)
                slots.Add([.. whole.Select(d => (Split(d.Config.Address).Function, d)).OrderByDescending(d => d.Function)]);
            else
                slots.AddRange(whole.Select(d => new List<(int, OpenedDevice)> { (0, d) }));
        }
        return slots;
    }

    private static (string Slot, int Function) Split(string address)
    {
        var dot = address.LastIndexOf('.');
        return dot >= 0 && int.TryParse(address.AsSpan(dot + 1), out var function) && function is >= 0 and < Pci.PciBus.Functions ? (address[..dot], function) : (address, 0);
    }
}
