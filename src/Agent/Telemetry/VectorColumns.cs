using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Interrupts;

namespace Exitless.Agent.Telemetry;

/// <summary>The MSI-X vectors of some functions as columns of a row. A vector appears when the guest unmasks it first, and goes with the guest's driver.</summary>
/// <param name="interrupts">The host's.</param>
/// <param name="addresses">The functions, dddd:bb:dd.f.</param>
internal sealed class VectorColumns(VfioInterrupts interrupts, IReadOnlyList<string> addresses) : IDisposable
{
    private readonly string[] _addresses = [.. addresses];
    private readonly FunctionVectors[] _functions = [.. addresses.Select(interrupts.Open)];
    private readonly List<(int Function, int Vector)> _columns = [];

    /// <summary>How many there are.</summary>
    public int Count => _columns.Count;

    /// <summary>A vector's function and its index in the function's table.</summary>
    public (string Address, int Vector) this[int column] => (_addresses[_columns[column].Function], _columns[column].Vector);

    /// <summary>Reads the vectors that are there now.</summary>
    /// <returns>False if they are the same as before.</returns>
    /// <exception cref="LinuxException">The host's interrupts cannot be read.</exception>
    public bool Read()
    {
        foreach (var function in _functions)
            function.Read();
        if (AreSame())
            return false;
        _columns.Clear();
        for (var i = 0; i < _functions.Length; i++)
        {
            foreach (var vector in _functions[i].Counts)
                _columns.Add((i, vector.Vector));
        }
        return true;
    }

    /// <summary>Adds the columns <c>vfio.‹address›.msix.‹n›</c>.</summary>
    public void AddTo(SampleSchema schema)
    {
        for (var column = 0; column < _columns.Count; column++)
        {
            var (address, vector) = this[column];
            schema.Series.Add(new Series { Key = $"vfio.{address}.msix.{vector}", Kind = SeriesKind.Counter, Unit = "interrupts" });
        }
    }

    /// <summary>Writes the counts as last read, as many as there are columns.</summary>
    public void Write(Span<long> row)
    {
        var at = 0;
        foreach (var function in _functions)
        {
            foreach (var vector in function.Counts)
                row[at++] = vector.Count;
        }
    }

    public void Dispose()
    {
        foreach (var function in _functions)
            function.Dispose();
    }

    private bool AreSame()
    {
        var at = 0;
        for (var i = 0; i < _functions.Length; i++)
        {
            foreach (var vector in _functions[i].Counts)
            {
                if (at == _columns.Count || _columns[at] != (i, vector.Vector))
                    return false;
                at++;
            }
        }
        return at == _columns.Count;
    }
}
