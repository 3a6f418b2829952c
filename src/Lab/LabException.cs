namespace Exitless.Lab;

/// <summary>Something the lab cannot do, in words for the person who asked: what failed, with the value, and what to do about it.</summary>
public sealed class LabException : Exception
{
    /// <summary>Makes the exception from what failed and what to do.</summary>
    public LabException(string problem, string remedy, Exception? inner = null)
        : base($"{problem} {remedy}", inner) => (Problem, Remedy) = (problem, remedy);

    /// <summary>What failed; names the value and the limit.</summary>
    public string Problem { get; }

    /// <summary>What to do about it.</summary>
    public string Remedy { get; }
}
