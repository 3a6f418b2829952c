namespace Exitless.Agent.Grading;

/// <summary>
/// Exits per device interrupt over the last ten seconds: all of them, and the marginal ones, which leave out what the guest costs at rest (the measure of the
/// ELI paper, ASPLOS 2012, section 6, and how it changes with load).
/// </summary>
/// <param name="samples">What is called a second below may be longer; so many of them count.</param>
internal sealed class ExitRatio(int samples = ExitRatio.Seconds)
{
    /// <summary>What <see cref="Total"/> and <see cref="Marginal"/> give where there is nothing to divide by.</summary>
    public const long Unknown = -1;

    /// <summary>How many seconds a ratio tells of.</summary>
    public const int Seconds = 10;

    // So many seconds at rest make a figure; the newest count most.
    private const int RestSeconds = 3;
    private const double Newest = 0.1;
    private readonly long[] _exits = new long[samples];
    private readonly long?[] _interrupts = new long?[samples];
    private readonly long[] _seen = new long[samples];
    private int _next;
    private int _known;
    private int _atRest;
    private double _rest;

    /// <summary>Exits per 1,000 device interrupts, of whatever cause; <see cref="Unknown"/> without an interrupt, and while some of them pass the host by uncounted.</summary>
    public long Total => Interrupts > 0 ? Exits * 1000 / Interrupts : Unknown;

    /// <summary>
    /// (exits under load − exits at rest) per 1,000 device interrupts; <see cref="Unknown"/> without an interrupt, or while the guest has not been seen at rest for three
    /// seconds, in which no device interrupted and its vCPUs were halted most of the time (a guest that boots is not at rest). Not below 0: a guest under load may spend fewer exits on its own halts than one at rest.
    /// </summary>
    public long Marginal => Interrupts > 0 && _atRest >= RestSeconds ? (long)(Math.Max(0, Exits - _rest * _known) * 1000 / Interrupts) : Unknown;

    private long Exits => Sum(_exits);

    // 0 while some are not counted. What the host has seen has come, whatever a guest says.
    private long Interrupts
    {
        get
        {
            var sum = 0L;
            foreach (var value in _interrupts.AsSpan(0, _known))
            {
                if (value is not { } counted)
                    return 0;
                sum += counted;
            }
            return Math.Max(sum, Sum(_seen));
        }
    }

    /// <summary>Adds a second.</summary>
    /// <param name="exits">All exits.</param>
    /// <param name="interrupts">Device interrupts; null: some may have come that nobody counted.</param>
    /// <param name="halted">The vCPUs were halted most of the time.</param>
    /// <param name="seen">Those that the host saw, where it is not the host that <paramref name="interrupts"/> is from.</param>
    public void Add(long exits, long? interrupts, bool halted, long seen = 0)
    {
        (_exits[_next], _interrupts[_next], _seen[_next]) = (exits, interrupts, seen);
        _next = (_next + 1) % samples;
        _known = Math.Min(_known + 1, samples);
        if (interrupts is not 0 || seen != 0 || !halted)
            return;
        _rest = _atRest == 0 ? exits : _atRest < RestSeconds ? (_rest * _atRest + exits) / (_atRest + 1) : _rest + (exits - _rest) * Newest;
        _atRest = Math.Min(_atRest + 1, RestSeconds);
    }

    private static long Sum(long[] values)
    {
        var sum = 0L;
        foreach (var value in values)
            sum += value;
        return sum;
    }
}
