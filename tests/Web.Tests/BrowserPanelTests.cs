using Bunit;
using Exitless.Web.Components.Vms;

namespace Exitless.Web.Tests;

public sealed class BrowserPanelTests : DashboardContext
{
    private static readonly Guid Vm = Guid.CreateVersion7();

    [Fact]
    public async Task The_graphs_element_is_given_to_the_module_once_and_taken_back_at_the_end()
    {
        var module = JSInterop.SetupModule("./js/graphs.js");
        var attach = module.SetupModule("attach", _ => true);

        var graphs = Render<VmGraphs>(p => p.Add(x => x.VmId, Vm).Add(x => x.Running, true));
        graphs.Render(p => p.Add(x => x.Running, true));

        var invocation = Assert.Single(module.Invocations["attach"]);
        Assert.Equal([Vm, true], invocation.Arguments.Skip(1));
        Assert.Empty(attach.Invocations["setRunning"]);

        graphs.Render(p => p.Add(x => x.Running, false));
        Assert.Equal([false], Assert.Single(attach.Invocations["setRunning"]).Arguments);

        await DisposeComponentsAsync();
        Assert.Single(attach.Invocations["dispose"]);
    }

    [Fact]
    public void The_console_element_is_given_to_its_module()
    {
        var module = JSInterop.SetupModule("./js/console.js");
        module.SetupModule("attach", _ => true);

        Render<VmConsole>(p => p.Add(x => x.VmId, Vm));

        Assert.Equal([Vm], Assert.Single(module.Invocations["attach"]).Arguments.Skip(1));
    }

    [Fact]
    public void Nothing_is_rendered_into_an_element_that_was_given_away()
    {
        JSInterop.SetupModule("./js/graphs.js").SetupModule("attach", _ => true);

        var graphs = Render<VmGraphs>(p => p.Add(x => x.VmId, Vm).Add(x => x.Running, true));

        Assert.Equal("", graphs.Find(Id("vm-graphs")).InnerHtml);
    }
}
