using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Idempotency;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Exitless.ControlPlane.Rest;

/// <summary>How a change is answered: 202 and where its operation is, after as much waiting as was asked for (RFC 7240 <c>Prefer: wait</c>).</summary>
internal static class Answers
{
    public const string OperationsPath = "/api/v1/operations";

    private const int LongestWait = 300;

    public static async Task<Accepted<OperationDto>> AcceptedAsync(HttpContext context, IOperationLog operations, int? wait, Func<Task<OperationDto>> change)
    {
        // Looked at before anything is changed.
        var seconds = wait is { } asked ? Checked(asked) : PreferredWait(context.Request);
        var operation = await change();
        // Kept before the wait: a caller that hangs up meanwhile and repeats the request shall have it.
        if (context.Features.Get<RepeatableAttempt>() is { } attempt)
            await attempt.KeepAsync(StoredAnswer.From(StatusCodes.Status202Accepted, $"{OperationsPath}/{operation.Id:D}", operation));
        if (seconds > 0)
            operation = await operations.WaitAsync(operation.Id, TimeSpan.FromSeconds(seconds), context.RequestAborted);
        if (seconds > 0 && wait is null)
            context.Response.Headers["Preference-Applied"] = $"wait={seconds}";
        return TypedResults.Accepted($"{OperationsPath}/{operation.Id:D}", operation);
    }

    public static int Checked(int wait) => wait is >= 0 and <= LongestWait
        ? wait
        : throw ProblemException.ForField(ProblemKind.Invalid, "wait-invalid", "The wait is out of range.", "wait", $"{wait} s is not between 0 and {LongestWait}.", "Wait shorter, and ask for the operation again.");

    /// <summary>Seconds of <c>Prefer: wait=n</c>; 0 without it, or when it cannot be read: a preference may be ignored.</summary>
    private static int PreferredWait(HttpRequest request)
    {
        foreach (var preference in request.Headers["Prefer"].SelectMany(h => (h ?? "").Split([',', ';'], StringSplitOptions.TrimEntries)))
        {
            if (preference.StartsWith("wait=", StringComparison.OrdinalIgnoreCase) && int.TryParse(preference[5..], out var seconds))
                return Math.Clamp(seconds, 0, LongestWait);
        }
        return 0;
    }
}
