using MudBlazor;

namespace Exitless.Web.Components.Parts;

internal static class DialogQuestions
{
    /// <summary>Asks before something is done that hurts. <paramref name="typeThis"/>: a name to type first, where it cannot be undone.</summary>
    public static async Task<bool> ConfirmAsync(this IDialogService dialogs, string title, string question, string verb, string? typeThis = null)
    {
        var parameters = new DialogParameters<ConfirmDialog>
        {
            { dialog => dialog.Question, question },
            { dialog => dialog.Verb, verb },
            { dialog => dialog.TypeThis, typeThis },
        };
        var shown = await dialogs.ShowAsync<ConfirmDialog>(title, parameters, new DialogOptions { MaxWidth = MaxWidth.ExtraSmall, FullWidth = true });
        return await shown.Result is { Canceled: false };
    }
}
