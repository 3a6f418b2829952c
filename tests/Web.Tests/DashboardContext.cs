using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Parts;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using MudBlazor;
using MudBlazor.Services;

namespace Exitless.Web.Tests;

/// <summary>A dashboard without a browser: a store in memory, a clock that only tests move, the user <c>admin</c> signed in.</summary>
public abstract class DashboardContext : BunitContext
{
    protected DashboardContext()
    {
        // MudBlazor calls its own scripts for sizes and focus; what matters here is asserted by name.
        JSInterop.Mode = JSRuntimeMode.Loose;
        Services.AddMudServices();
        Services.AddSingleton<TimeProvider>(Clock);
        Services.AddSingleton<IHostDirectory>(Store.Hosts);
        Services.AddSingleton<IHostFindings>(Store.Hosts);
        Services.AddSingleton<IVmService>(Store.Vms);
        Services.AddSingleton<IOperationLog>(Store.Operations);
        Services.AddSingleton<IEventLog>(Store.Events);
        Services.AddSingleton<IEnrolmentTokens>(Store.EnrolmentTokens);
        Services.AddSingleton<IProjects>(Store.Projects);
        Services.AddSingleton<IPlacement>(Store.Placement);
        Services.AddSingleton<IApiTokens>(Store.ApiTokens);
        Services.AddSingleton<IFleetLists>(Store.Fleet);
        Services.AddSingleton<IFleetOverview>(Store.Fleet);
        Services.AddSingleton<IChangeFeed>(Store.Feed);
        Services.AddScoped<PersonsChanges>();
        this.AddAuthorization().SetAuthorized("admin");
    }

    protected MemoryStore Store { get; } = new();

    protected FakeTimeProvider Clock { get; } = new(MemoryStore.Epoch);

    /// <summary>A page together with the providers of dialogs and menus that the layout has.</summary>
    protected IRenderedComponent<Stage> Show<TPage>(Action<ComponentParameterCollectionBuilder<TPage>>? parameters = null)
        where TPage : IComponent =>
        Render<Stage>(stage => stage.AddChildContent(parameters ?? (_ => { })));

    /// <summary>An element by its data-testid.</summary>
    protected static string Id(string testId) => $"[data-testid='{testId}']";
}

/// <summary>What MainLayout gives every page.</summary>
public sealed class Stage : ComponentBase
{
    [Parameter] public RenderFragment? ChildContent { get; set; }

    protected override void BuildRenderTree(Microsoft.AspNetCore.Components.Rendering.RenderTreeBuilder builder)
    {
        builder.OpenComponent<MudPopoverProvider>(0);
        builder.CloseComponent();
        builder.OpenComponent<MudDialogProvider>(1);
        builder.CloseComponent();
        builder.OpenComponent<MudSnackbarProvider>(2);
        builder.CloseComponent();
        builder.AddContent(3, ChildContent);
    }
}
