using Exitless.Linux;

namespace Exitless.Vmm.Virtio;

/// <summary>Random numbers for the guest (virtio 1.2, section 5.4), from the host kernel's generator; a guest that asks without end gets them at a bounded rate.</summary>
internal sealed class VirtioEntropy : VirtioDevice
{
    /// <summary>What one request gets at most; the driver asks again for more.</summary>
    public const int MostBytes = 4096;

    /// <summary>What a guest may take at once, and in each second after that.</summary>
    public const int Burst = 64 * 1024, BytesPerSecond = 256 * 1024;

    private const int RefillMilliseconds = 20;
    private readonly TimeProvider _time;
    private long _filledAt;
    private int _left = Burst;
    private bool _waits;

    public VirtioEntropy(TimeProvider time)
        : base("entropy", type: 4, classCode: 0x00ff00, features: 0, queues: 1)
    {
        _time = time;
        _filledAt = time.GetTimestamp();
    }

    public override int WaitMilliseconds => _waits ? RefillMilliseconds : -1;

    protected override void TimePassed() => Drain(0);

    protected override bool Handle(int queue, SplitQueue requests)
    {
        Refill();
        _waits = _left == 0;
        if (_waits)
            return false;
        var wanted = (int)Math.Min(requests.Chain.WritableBytes, (ulong)Math.Min(MostBytes, _left));
        var written = 0;
        foreach (ref readonly var stretch in requests.Chain.Writable)
        {
            var take = (int)Math.Min(stretch.Length, (nuint)(wanted - written));
            if (take == 0 || !Randomness.TryFill(stretch.Span[..take]))
                break;
            written += take;
        }
        _left -= written;
        requests.Give((uint)written);
        return true;
    }

    private void Refill()
    {
        var gained = (long)(_time.GetElapsedTime(_filledAt).TotalSeconds * BytesPerSecond);
        if (gained <= 0)
            return;
        _filledAt = _time.GetTimestamp();
        _left = (int)Math.Min(Burst, _left + gained);
    }
}
