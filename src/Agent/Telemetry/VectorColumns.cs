using Exitless.Contracts;
using Exitless.Linux.Procfs;

namespace Exitless.Agent.Telemetry;

/// <summary>The MSI-X vectors of some functions as columns of a row. A vector appears when the guest unmasks it first, and goes with the guest's driver.</summary>
/// <param name="addresses">The functions, dddd:bb:dd.f.</param>
internal sealed class VectorColumns(IReadOnlyList<string> addresses)
{
    private readonly string[] _addresses = [.. addresses];
    private readonly uint[] _functions = [.. addresses.Select(a => VfioInterrupts.PackAddress(a))];
    private readonly List<VfioVectorCount> _vectors = [];

    /// <summary>How many there are.</summary>
    public int Count => _vectors.Count;

    /// <summary>A vector's function and its index in the function's table.</summary>
    public (string Address, int Vector) this[int column] => (_addresses[Array.IndexOf(_functions, _vectors[column].Function)], _vectors[column].Vector);

    /// <summary>Takes the vectors that are there now.</summary>
    /// <returns>False if they are the same as before.</returns>
    public bool Renew(VfioInterrupts interrupts)
    {
        if (AreSame(interrupts.Counts))
            return false;
        _vectors.Clear();
        foreach (var vector in interrupts.Counts)
        {
            if (Array.IndexOf(_functions, vector.Function) >= 0)
                _vectors.Add(vector);
        }
        return true;
    }

    /// <summary>Adds the columns <c>vfio.‹address›.msix.‹n›</c>.</summary>
    public void AddTo(SampleSchema schema)
    {
        for (var column = 0; column < _vectors.Count; column++)
        {
            var (address, vector) = this[column];
            schema.Series.Add(new Series { Key = $"vfio.{address}.msix.{vector}", Kind = SeriesKind.Counter, Unit = "interrupts" });
        }
    }

    /// <summary>Writes the counts, as many as there are columns.</summary>
    public void Write(VfioInterrupts interrupts, Span<long> row)
    {
        var at = 0;
        foreach (var vector in interrupts.Counts)
        {
            if (Array.IndexOf(_functions, vector.Function) >= 0)
                row[at++] = vector.Count;
        }
    }

    private bool AreSame(ReadOnlySpan<VfioVectorCount> counts)
    {
        var at = 0;
        foreach (var vector in counts)
        {
            if (Array.IndexOf(_functions, vector.Function) < 0)
                continue;
            if (at == _vectors.Count || _vectors[at].Function != vector.Function || _vectors[at].Vector != vector.Vector)
                return false;
            at++;
        }
        return at == _vectors.Count;
    }
}
