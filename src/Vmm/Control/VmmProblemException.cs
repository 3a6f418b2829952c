namespace Exitless.Vmm.Control;

/// <summary>Something that a person can put right: a stable code, what is wrong with which value and limit, and what to do.</summary>
public sealed class VmmProblemException : Exception
{
    /// <summary>Makes a problem.</summary>
    public VmmProblemException(string code, string title, string detail, string remedy, string field = "", Exception? innerException = null)
        : base($"{title} {detail} {remedy}", innerException)
    {
        Code = code;
        Title = title;
        Detail = detail;
        Remedy = remedy;
        Field = field;
    }

    /// <summary>Stable, in kebab case, such as <c>kernel-not-bzimage</c>. docs/vmm.md lists them.</summary>
    public string Code { get; }

    /// <summary>One sentence.</summary>
    public string Title { get; }

    /// <summary>The value and the limit.</summary>
    public string Detail { get; }

    /// <summary>What to do.</summary>
    public string Remedy { get; }

    /// <summary>The member of <see cref="VmConfig"/> at fault in camel case (<c>memoryBytes</c>, <c>devices[0]</c>), <c>kernel</c> or <c>initrd</c>; empty: none.</summary>
    public string Field { get; }
}
