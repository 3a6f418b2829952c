using Microsoft.AspNetCore.Components;
using Microsoft.JSInterop;

namespace Exitless.Web.Components.Vms;

/// <summary>
/// An element whose whole content belongs to an ES module: the component gives the element away once and never renders into it.
/// The module exports <c>attach(element, …)</c>, which returns an object with <c>dispose()</c>.
/// </summary>
public abstract class BrowserPanel : ComponentBase, IAsyncDisposable
{
    private IJSObjectReference? _module;

    /// <summary>The JavaScript runtime of this circuit.</summary>
    [Inject] protected IJSRuntime Js { get; set; } = default!;

    /// <summary>The element that was given away.</summary>
    protected ElementReference Host { get; set; }

    /// <summary>What attach returned; null before the first rendering.</summary>
    protected IJSObjectReference? Panel { get; private set; }

    /// <summary>The module's address, from the page's base.</summary>
    protected abstract string ModulePath { get; }

    /// <summary>What attach is given, after the element.</summary>
    protected abstract object?[] Arguments { get; }

    /// <inheritdoc />
    protected override async Task OnAfterRenderAsync(bool firstRender)
    {
        if (!firstRender) return;
        _module = await Js.InvokeAsync<IJSObjectReference>("import", ModulePath);
        Panel = await _module.InvokeAsync<IJSObjectReference>("attach", [Host, .. Arguments]);
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        try
        {
            if (Panel is not null)
            {
                await Panel.InvokeVoidAsync("dispose");
                await Panel.DisposeAsync();
            }
            if (_module is not null) await _module.DisposeAsync();
        }
        catch (JSDisconnectedException)
        {
            // The browser is gone, and the panel with it.
        }
        GC.SuppressFinalize(this);
    }
}
