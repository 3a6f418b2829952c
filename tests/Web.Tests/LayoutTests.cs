using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Layout;
using Exitless.Web.Components.Pages;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.Web.Tests;

public sealed class LayoutTests : DashboardContext
{
    [Fact]
    public void The_tray_counts_what_is_under_way()
    {
        var host = Store.AddHost("h1");
        Store.AddOperation(host, null, OperationState.Running, "Start VM a on h1");
        Store.AddOperation(host, null, OperationState.Waiting, "Start VM b on h1");
        Store.AddOperation(host, null, OperationState.Done, "Start VM c on h1");

        Assert.Equal("2", Show<OperationTray>().WaitForElement(Id("running-operations")).TextContent);
    }

    [Theory]
    [InlineData("admin", true)]
    [InlineData("token deploy", false)]
    public void A_failure_is_called_out_to_who_started_it_and_to_nobody_else(string by, bool told)
    {
        var host = Store.AddHost("h1");
        var operation = Store.AddOperation(host, null, OperationState.Running, "Start VM a on h1", by: by);
        var page = Show<OperationTray>();
        page.WaitForElement(Id("running-operations"));

        Store.Operations.All[0] = operation with { State = OperationState.Failed, FinishedAt = MemoryStore.Epoch, Problem = new ProblemDto("device-in-use", "The device is in use.", "eth7 carries br0.", "Take it out of br0.", null) };
        Store.Feed.Tell(ChangeKind.Operation, operation.Id);

        page.WaitForAssertion(() => Assert.Empty(page.FindAll(Id("running-operations"))));
        const string Words = "Start VM a on h1: The device is in use. eth7 carries br0. Take it out of br0.";
        Assert.Equal(told, page.Find(".mud-snackbar-location-bottom-right, #mud-snackbar-container").TextContent.Contains(Words, StringComparison.Ordinal));
    }

    [Fact]
    public void The_app_bar_says_how_many_hosts_are_linked()
    {
        Store.AddHost("h1");
        Store.AddHost("h2", connected: false);

        var links = Show<HostLinks>().WaitForElement(Id("host-links"));

        Assert.Equal("1 of 2 hosts linked", links.TextContent);
        Assert.Equal("bad", links.GetAttribute("data-tone"));
    }

    [Fact]
    public void The_theme_switch_tells_the_browser()
    {
        var page = Show<ThemeSwitch>();

        page.Find("button").Click();
        page.WaitForElement(Id("theme-dark")).Click();

        page.WaitForAssertion(() => Assert.Equal(["dark"], Assert.Single(JSInterop.Invocations["exitlessTheme.set"]).Arguments));
    }

    [Theory]
    [InlineData("/vms/1", "/vms/1")]
    [InlineData("https://elsewhere.example/", "/")]
    [InlineData("//elsewhere.example/", "/")]
    [InlineData("/\\elsewhere.example/", "/")]
    [InlineData(null, "/")]
    public void Sign_in_returns_to_this_site_only(string? asked, string given)
    {
        var url = asked is null ? "/login" : $"/login?returnUrl={Uri.EscapeDataString(asked)}";
        Services.GetRequiredService<NavigationManager>().NavigateTo(url);

        var login = Render<Login>();

        Assert.Equal(given, login.Find("input[name=returnUrl]").GetAttribute("value"));
        Assert.Equal(AccountPaths.SignIn, login.Find("form").GetAttribute("action"));
    }

    [Theory]
    [InlineData("password", "do not match")]
    [InlineData("locked", "locked for a few minutes")]
    public void A_refused_sign_in_says_why(string failed, string words)
    {
        Services.GetRequiredService<NavigationManager>().NavigateTo($"/login?failed={failed}");

        Assert.Contains(words, Render<Login>().Find(Id("login-error")).TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void An_operation_row_leads_to_its_steps_and_problem()
    {
        var host = Store.AddHost("h1");
        var operation = Store.AddOperation(host, null, OperationState.Failed, "Start VM a on h1", new ProblemDto("memlock", "The memlock limit is too low.", "512 MiB are needed, 64 KiB allowed.", "Raise LimitMEMLOCK.", null));
        var list = Show<Exitless.Web.Components.Pages.Operations>();
        Assert.Equal($"/operations/{operation.Id}", list.WaitForElement(Id("operation-link")).GetAttribute("href"));

        var page = Render<OperationDetail>(p => p.Add(x => x.Id, operation.Id));

        Assert.Contains("Raise LimitMEMLOCK.", page.WaitForElement(Id("operation-problem")).TextContent, StringComparison.Ordinal);
        Assert.NotEmpty(page.FindAll(Id("steps")));
    }

    [Fact]
    public void An_API_token_is_shown_once()
    {
        var page = Show<Components.Settings.ApiTokens>();
        page.Find(Id("api-token-name")).Input("deploy");

        page.Find(Id("make-api-token")).Click();

        Assert.Equal("the-secret", page.WaitForElement(Id("api-token")).TextContent);
        Assert.Equal([("api-token deploy 365", "admin")], Store.Asked);
        Assert.DoesNotContain("the-secret", Render<Components.Settings.ApiTokens>().Markup, StringComparison.Ordinal);
    }

    [Fact]
    public void An_API_token_without_a_name_is_refused_at_the_field()
    {
        Store.Refusal = ProblemException.ForField(ProblemKind.Invalid, "invalid", "The token has no name.", "name", "A name of 1 to 100 characters is needed.");
        var page = Show<Components.Settings.ApiTokens>();

        page.Find(Id("make-api-token")).Click();

        page.WaitForAssertion(() => Assert.Contains("A name of 1 to 100 characters is needed.", page.Find(".mud-input-helper-text").TextContent, StringComparison.Ordinal));
        Assert.Empty(page.FindAll(Id("api-token")));
    }
}
