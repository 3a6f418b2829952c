using Exitless.Agent.Link;

namespace Exitless.Agent.Inventory;

/// <summary>Reads the inventory again and again, and at once when the agent itself changed something; sends it when it differs.</summary>
internal sealed class InventoryFeed(InventoryReader reader, LatestSource<Contracts.Inventory> source, TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(10);
    private readonly AsyncSignal _changed = new();

    /// <summary>Something that the inventory shows was changed.</summary>
    public void Poke() => _changed.Set();

    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            var changed = _changed.Rearm();
            source.Set(reader.Read());
            await Task.WhenAny(changed, Task.Delay(Period, time, stop));
            stop.ThrowIfCancellationRequested();
        }
    }
}
