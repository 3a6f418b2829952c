namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>The machine's clock, set forward at will. Timers run as ever.</summary>
internal sealed class OffsetClock : TimeProvider
{
    private long _offset;

    public void Advance(TimeSpan by) => Interlocked.Add(ref _offset, by.Ticks);

    public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + TimeSpan.FromTicks(Interlocked.Read(ref _offset));
}
