using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Parts;

/// <summary>What is wrong with a form, by field, as a refused request says it.</summary>
internal sealed class FieldErrors
{
    private readonly Dictionary<string, string> _byField = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>No error.</summary>
    public static FieldErrors None { get; } = new(null);

    /// <summary>The errors of a refusal; null: none.</summary>
    public FieldErrors(ProblemException? refusal)
    {
        Refusal = refusal;
        foreach (var (field, texts) in refusal?.Errors ?? new Dictionary<string, string[]>(StringComparer.Ordinal))
            _byField[field] = string.Join(' ', texts);
    }

    /// <summary>The refusal itself.</summary>
    public ProblemException? Refusal { get; }

    /// <summary>Whether there is an error at this field.</summary>
    public bool At(string field) => _byField.ContainsKey(field);

    /// <summary>The words at this field; null: none.</summary>
    public string? TextAt(string field) => _byField.GetValueOrDefault(field);

    /// <summary>Whether there is an error at this field or inside it, such as <c>devices[0].address</c> inside <c>devices</c>.</summary>
    public IReadOnlyList<string> Within(string field) =>
        [.. _byField.Where(error => IsWithin(error.Key, field)).OrderBy(error => error.Key, StringComparer.Ordinal).Select(error => error.Value)];

    /// <summary>Words that none of the form's fields would show: the whole problem when it names no field of the form.</summary>
    public string? Elsewhere(params ReadOnlySpan<string> fields)
    {
        if (Refusal is null) return null;
        foreach (var error in _byField.Keys)
            foreach (var field in fields)
                if (IsWithin(error, field))
                    return Refusal.Remedy;
        return PersonsChanges.Words(Refusal.Title, Refusal.Detail, Refusal.Remedy);
    }

    private static bool IsWithin(string error, string field) =>
        error.StartsWith(field, StringComparison.OrdinalIgnoreCase) && (error.Length == field.Length || error[field.Length] is '[' or '.');
}
