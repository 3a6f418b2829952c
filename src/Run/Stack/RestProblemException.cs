using System.Text.Json;

namespace Exitless.Run.Stack;

/// <summary>The API refused a request, or an operation ended otherwise than well.</summary>
public sealed class RestProblemException(string message, JsonElement problem) : Exception(message)
{
    /// <summary>The problem (RFC 9457), or the operation that carries it.</summary>
    public JsonElement Problem { get; } = problem;

    /// <summary>The problem's stable code, such as <c>group-not-viable</c>; empty where there is none.</summary>
    public string Code => Problem.ValueKind == JsonValueKind.Object && Problem.TryGetProperty("code", out var code) ? code.GetString() ?? "" : "";

    internal static RestProblemException OfOperation(string what, JsonElement operation)
    {
        var problem = operation.TryGetProperty("problem", out var found) && found.ValueKind == JsonValueKind.Object ? found : operation;
        return new RestProblemException($"{what}: {problem}", problem);
    }
}
