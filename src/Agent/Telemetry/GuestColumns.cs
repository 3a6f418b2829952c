using System.Globalization;
using Exitless.Agent.GuestCounts;
using Exitless.Contracts;

namespace Exitless.Agent.Telemetry;

/// <summary>
/// What the guest counts of its devices' vectors, as columns of a row: <c>guest.‹address›.msix.‹n›</c> with the host's address of the function, from the report on that first has the vector; <c>guest.reports</c>, and
/// <c>guest.age_ms</c>. The guest's word; nobody checks it.
/// </summary>
/// <param name="word">What the guest says.</param>
/// <param name="guestAddresses">By a function's address on the host, its address in the guest.</param>
internal sealed class GuestColumns(GuestWord word, IReadOnlyDictionary<string, string> guestAddresses)
{
    private ulong[] _keys = [];
    private long[] _counts = [];
    private string[] _names = [];
    private bool[] _told = [];
    private long _reports, _age;

    /// <summary>How many columns there are.</summary>
    public int Count { get; private set; } = 2;

    /// <summary>Reads the newest report.</summary>
    /// <param name="vectors">The host's.</param>
    /// <param name="changed">They are others than before.</param>
    /// <returns>True if there are other columns now.</returns>
    public bool Read(VectorColumns vectors, bool changed)
    {
        if (changed)
            Take(vectors);
        (_reports, _age) = word.Read(_keys, _counts);
        var before = Count;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (_counts[i] < 0 || _told[i])
                continue;
            _told[i] = true;
            Count++;
        }
        return changed || Count != before;
    }

    /// <summary>Adds the columns.</summary>
    public void AddTo(SampleSchema schema)
    {
        for (var i = 0; i < _names.Length; i++)
        {
            if (_told[i])
                schema.Series.Add(new Series { Key = _names[i], Kind = SeriesKind.Counter, Unit = "interrupts" });
        }
        schema.Series.Add(new Series { Key = "guest.reports", Kind = SeriesKind.Counter, Unit = "reports" });
        schema.Series.Add(new Series { Key = "guest.age_ms", Kind = SeriesKind.Gauge, Unit = "ms" });
    }

    /// <summary>Writes what was read last. A vector that the newest report no longer has keeps nothing: it counts 0, as after its driver has asked for it anew.</summary>
    public void Write(Span<long> row)
    {
        var at = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            if (_told[i])
                row[at++] = Math.Max(0, _counts[i]);
        }
        row[at++] = _reports;
        row[at] = _age;
    }

    private void Take(VectorColumns vectors)
    {
        _keys = new ulong[vectors.Count];
        _counts = new long[vectors.Count];
        _names = new string[vectors.Count];
        _told = new bool[vectors.Count];
        Count = 2;
        for (var i = 0; i < _keys.Length; i++)
        {
            var (address, vector) = vectors[i];
            _names[i] = $"guest.{address}.msix.{vector}";
            _keys[i] = guestAddresses.TryGetValue(address, out var guest) ? KeyOf(guest, vector) : ulong.MaxValue;
        }
    }

    // dddd:bb:dd.f, from our own VMM.
    private static ulong KeyOf(string address, int vector)
    {
        int Part(int start, int length) => int.Parse(address.AsSpan(start, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return GuestReport.KeyOf(Part(0, 4), Part(5, 2), Part(8, 2), Part(11, 1), vector);
    }
}
