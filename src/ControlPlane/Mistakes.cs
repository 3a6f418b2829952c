using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane;

/// <summary>Collects what is wrong with a request, field by field, so that one answer names it all.</summary>
internal sealed class Mistakes
{
    private readonly List<(ProblemKind Kind, string Code, string Field, string Detail, string? Remedy)> _found = [];

    /// <summary>A value that is wrong by itself.</summary>
    public void Add(string field, string detail, string? remedy = null) => _found.Add((ProblemKind.Invalid, "", field, detail, remedy));

    /// <summary>A value that names something, with a code of its own.</summary>
    public void Add(ProblemKind kind, string code, string field, string detail, string? remedy) => _found.Add((kind, code, field, detail, remedy));

    public bool Has(string field) => _found.Exists(f => f.Field == field);

    /// <summary>Throws if anything was found. A single mistake with a code of its own gives the problem its code and remedy.</summary>
    public void Throw(string code, string title)
    {
        if (_found.Count == 0)
            return;
        var errors = _found.GroupBy(f => f.Field, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Select(f => f.Detail).ToArray(), StringComparer.Ordinal);
        var invalid = _found.Exists(f => f.Kind == ProblemKind.Invalid);
        var codes = _found.Select(f => f.Code).Distinct(StringComparer.Ordinal).ToList();
        var remedies = string.Join(" ", _found.Select(f => f.Remedy).OfType<string>().Distinct(StringComparer.Ordinal));
        throw new ProblemException(
            invalid ? ProblemKind.Invalid : _found[0].Kind,
            codes.Count == 1 && codes[0].Length > 0 ? codes[0] : code,
            title,
            string.Join(" ", _found.Select(f => f.Detail)),
            remedies.Length > 0 ? remedies : "Correct the fields that are named in 'errors'.",
            errors);
    }
}
