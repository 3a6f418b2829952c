using Exitless.Vmm.Control;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// Opens many devices at once. Opening one means a reset, for which the kernel waits 100 ms and more (PCI Express Base Specification, section 6.6.2); eight in a row
/// would take eight times that.
/// </summary>
internal static class ParallelOpening
{
    /// <summary>Opens all or none.</summary>
    /// <param name="devices">What to open.</param>
    /// <param name="open">Opens one; called on several threads at once.</param>
    /// <returns>In the order asked for.</returns>
    /// <exception cref="VmmProblemException">What is wrong with the first that failed; with more than one, the words name them all.</exception>
    public static OpenedDevice[] Open(IReadOnlyList<VfioDeviceConfig> devices, Func<VfioDeviceConfig, string, IVfioDevice> open)
    {
        var opened = new OpenedDevice?[devices.Count];
        try
        {
            ForEach(devices, (config, i) =>
            {
                var field = $"devices[{i}]";
                var device = open(config, field);
                try
                {
                    opened[i] = OpenedDevice.Examine(config, field, device);
                }
                catch
                {
                    device.Dispose();
                    throw;
                }
            });
            return [.. opened.OfType<OpenedDevice>()];
        }
        catch
        {
            foreach (var device in opened)
                device?.Device.Dispose();
            throw;
        }
    }

    /// <summary>Does the same with each, on a thread for each, and waits for all.</summary>
    /// <param name="items">With what.</param>
    /// <param name="act">Takes one and its index; called on several threads at once.</param>
    /// <exception cref="VmmProblemException">As <see cref="Open"/>'s.</exception>
    public static void ForEach<T>(IReadOnlyList<T> items, Action<T, int> act)
    {
        var failures = new Exception?[items.Count];
        void ActOn(int i)
        {
            try
            {
                act(items[i], i);
            }
            catch (Exception e)
            {
                // It belongs to the caller's thread, which waits for all.
                failures[i] = e;
            }
        }

        var threads = Enumerable.Range(1, Math.Max(0, items.Count - 1)).Select(i => new Thread(() => ActOn(i)) { IsBackground = true, Name = "open device" }).ToList();
        threads.ForEach(t => t.Start());
        if (items.Count > 0)
            ActOn(0);
        threads.ForEach(t => t.Join());
        var failed = failures.OfType<Exception>().ToList();
        if (failed.Count > 0)
            throw failed.Count == 1 ? failed[0] : Together(failed);
    }

    private static VmmProblemException Together(List<Exception> failed)
    {
        var first = failed.OfType<VmmProblemException>().FirstOrDefault();
        var details = string.Join(" ", failed.Select(f => f is VmmProblemException problem ? problem.Detail : f.Message));
        return first is null
            ? new VmmProblemException("device-failed", "The devices cannot be opened.", details, "Look at the host's kernel log.", "devices", failed[0])
            : new VmmProblemException(first.Code, first.Title, $"{failed.Count} devices failed. {details}", first.Remedy, first.Field, first);
    }
}
