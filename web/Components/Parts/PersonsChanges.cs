using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Components.Authorization;
using MudBlazor;

namespace Exitless.Web.Components.Parts;

/// <summary>Changes that the person in front of the page asks for: made in their name, and refused in words.</summary>
internal sealed class PersonsChanges(AuthenticationStateProvider authentication, ISnackbar snackbar, ILogger<PersonsChanges> log)
{
    /// <summary>The signed-in person.</summary>
    public async Task<Actor> ActorAsync() => Actor.From((await authentication.GetAuthenticationStateAsync()).User);

    /// <summary>Makes a change; what stands against it is shown as a message. Null: it was refused.</summary>
    public async Task<T?> TryAsync<T>(Func<Actor, Task<T>> change)
        where T : class
    {
        var (result, refusal) = await CatchAsync(change);
        if (refusal is not null) snackbar.Add(Words(refusal.Title, refusal.Detail, refusal.Remedy), Severity.Error);
        return result;
    }

    /// <summary>Makes a change; what stands against it is returned, for a form to show at its fields.</summary>
    public async Task<(T? Result, ProblemException? Refusal)> CatchAsync<T>(Func<Actor, Task<T>> change)
        where T : class
    {
        try
        {
            return (await change(await ActorAsync()), null);
        }
        catch (ProblemException problem)
        {
            return (null, problem);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            log.ChangeFailed(exception);
            return (null, new ProblemException(ProblemKind.Unavailable, "change-failed", "The change could not be made.", "The control plane ran into an error of its own.", "Its log says why. Look whether the change was made before trying again."));
        }
    }

    /// <summary>A problem as one message.</summary>
    public static string Words(string title, string? detail, string? remedy) =>
        string.Join(' ', new[] { title, detail, remedy }.Where(part => !string.IsNullOrWhiteSpace(part)));
}
