namespace Exitless.Vmm;

/// <summary>Tells a guest that resets again and again as soon as it has started from one that reboots.</summary>
internal sealed class RestartLimit(TimeProvider time)
{
    /// <summary>So many quick resets in a row are too many.</summary>
    public const int MostQuick = 5;

    /// <summary>A reset is quick if the guest has run no longer than this.</summary>
    public static readonly TimeSpan Quick = TimeSpan.FromSeconds(10);

    private long _startedAt = time.GetTimestamp();
    private int _quick;

    /// <summary>Counts a reset.</summary>
    /// <returns>False if it is one too many.</returns>
    public bool Allow()
    {
        _quick = time.GetElapsedTime(_startedAt) < Quick ? _quick + 1 : 0;
        return _quick <= MostQuick;
    }

    /// <summary>The guest starts again now.</summary>
    public void Started() => _startedAt = time.GetTimestamp();
}
