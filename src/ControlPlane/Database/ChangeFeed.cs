using System.Collections.Immutable;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Database;

/// <summary>Hands every committed change to those who subscribed, on the thread that made it.</summary>
internal sealed class ChangeFeed : IChangeFeed
{
    private ImmutableArray<Subscription> _subscriptions = [];

    public IDisposable Subscribe(Action<Change> onChange)
    {
        ArgumentNullException.ThrowIfNull(onChange);
        var subscription = new Subscription(this, onChange);
        ImmutableInterlocked.Update(ref _subscriptions, (all, one) => all.Add(one), subscription);
        return subscription;
    }

    public void Publish(Change change)
    {
        foreach (var subscription in _subscriptions)
            subscription.OnChange(change);
    }

    private sealed class Subscription(ChangeFeed feed, Action<Change> onChange) : IDisposable
    {
        public Action<Change> OnChange { get; } = onChange;

        public void Dispose() => ImmutableInterlocked.Update(ref feed._subscriptions, (all, one) => all.Remove(one), this);
    }
}
