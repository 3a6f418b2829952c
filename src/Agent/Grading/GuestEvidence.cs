namespace Exitless.Agent.Grading;

/// <summary>
/// What the guest's reporter says of each vector in a second. Reports come once a second by the guest's clock, rows by the host's: a second in which none came is told by the one before, as long as that is fresh, and one that
/// came late is spread over the seconds that it tells of. It is the guest's word, and nobody checks it.
/// </summary>
/// <param name="columns">By vector, the column of the guest's count; -1: the guest has not told of it.</param>
/// <param name="reports">The column of the number of reports.</param>
/// <param name="age">The column of the newest report's age, milliseconds; -1 in it: none has come.</param>
/// <param name="freshMilliseconds">A report as old says nothing any more.</param>
internal sealed class GuestEvidence(int[] columns, int reports, int age, int freshMilliseconds)
{
    private readonly long[] _at = new long[columns.Length], _risen = new long[columns.Length], _rates = new long[columns.Length];
    private long _reports;
    private int _seconds;
    private bool _hasFirst;

    /// <summary>Two reports can be compared, and the newer one is fresh.</summary>
    public bool IsKnown { get; private set; }

    /// <summary>A report came in this second.</summary>
    public bool Came { get; private set; }

    /// <summary>Looks at a row.</summary>
    public void Look(ReadOnlySpan<long> row)
    {
        Came = false;
        if (row[age] < 0 || row[age] >= freshMilliseconds)
        {
            (IsKnown, _hasFirst) = (false, false);
            return;
        }
        _seconds++;
        if (_hasFirst && row[reports] == _reports)
            return;
        for (var vector = 0; vector < columns.Length; vector++)
        {
            var count = columns[vector] < 0 ? 0 : row[columns[vector]];
            _risen[vector] = _hasFirst ? Math.Max(0, count - _at[vector]) : 0;
            // Rounded up: where some came, the vector was not idle.
            _rates[vector] = (_risen[vector] + _seconds - 1) / _seconds;
            _at[vector] = count;
        }
        (IsKnown, Came, _hasFirst, _reports, _seconds) = (_hasFirst, _hasFirst, true, row[reports], 0);
    }

    /// <summary>Interrupts of a vector in a second; null: not known.</summary>
    public long? RateOf(int vector) => IsKnown && columns[vector] >= 0 ? _rates[vector] : null;

    /// <summary>By how much a vector's count has grown with the report that came in this second; 0 without one, null: not known.</summary>
    public long? RisenOf(int vector) => !IsKnown || columns[vector] < 0 ? null : Came ? _risen[vector] : 0;
}
