using System.Text;
using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Lists;
using Exitless.Web.Components.Pages;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.JSInterop;

namespace Exitless.Web.Tests;

public sealed class ListTests : DashboardContext
{
    private NavigationManager Navigation => Services.GetRequiredService<NavigationManager>();

    [Fact]
    public void What_is_typed_and_chosen_stands_in_the_address_and_is_asked_of_the_store()
    {
        var host = Store.AddHost("h1");
        Store.AddVm(host, "web-1", VmState.Running);
        Store.AddVm(host, "db-1", VmState.Stopped);
        var page = Show<Vms>();

        page.WaitForElement(Id("list-search")).Input("web");
        page.WaitForState(() => { Clock.Advance(TimeSpan.FromMilliseconds(120)); return Navigation.Uri.EndsWith("?q=web", StringComparison.Ordinal); });
        page.WaitForAssertion(() => Assert.Equal("1 VM", page.Find(Id("list-count")).TextContent));
        page.Find(Id("filter-state")).Change("running");
        page.Find(Id("sort-memory")).Click();
        page.Find(Id("sort-memory")).Click();

        Assert.Equal("?q=web&state=running&sort=-memory".Split('&', '?').Order(StringComparer.Ordinal), new Uri(Navigation.Uri).Query.Split('&', '?').Order(StringComparer.Ordinal));
        var asked = Store.Fleet.Queries[^1];
        Assert.Equal(("web", "memory", true, "running"), (asked.Search, asked.Sort, asked.Descending, asked.Filters!["state"]));
        Assert.Equal("descending", page.Find(Id("sort-memory")).Closest("th")!.GetAttribute("aria-sort"));
    }

    [Fact]
    public void An_address_opens_the_list_as_it_was_sent()
    {
        var host = Store.AddHost("h1");
        Store.AddVm(host, "web-1", VmState.Running);
        Store.AddVm(host, "db-1", VmState.Running);
        Navigation.NavigateTo("/vms?q=DB&sort=name&link=lost&unheard-of=1");

        var page = Show<Vms>();

        Assert.Equal("db-1", Assert.Single(page.WaitForElement(Id("vms")).QuerySelectorAll(Id("vm-link"))).TextContent);
        Assert.Equal("DB", page.Find(Id("list-search")).GetAttribute("value"));
        Assert.Equal(("name", false, "lost"), (Store.Fleet.Queries[^1].Sort, Store.Fleet.Queries[^1].Descending, Store.Fleet.Queries[^1].Filters!["link"]));
    }

    [Fact]
    public void Where_nothing_matches_one_press_shows_all_again()
    {
        Store.AddVm(Store.AddHost("h1"), "web-1", VmState.Running);
        Navigation.NavigateTo("/vms?q=nothing-like-it");
        var page = Show<Vms>();

        page.WaitForElement($"{Id("list-no-match")} button").Click();

        page.WaitForElement(Id("vm-link"));
        Assert.EndsWith("/vms", Navigation.Uri, StringComparison.Ordinal);
    }

    [Fact]
    public void A_list_of_many_reads_pages_not_all()
    {
        var host = Store.AddHost("h1");
        for (var i = 0; i < 5000; i++)
            Store.AddVm(host, $"vm-{i:0000}", VmState.Running);

        var page = Show<Vms>();

        page.WaitForElement(Id("vm-link"));
        Assert.Equal("5\u202f000 VMs", page.Find(Id("list-count")).TextContent);
        Assert.Equal("5001", page.Find(Id("vms")).GetAttribute("aria-rowcount"));
        Assert.All(Store.Fleet.Queries, query => Assert.True(query.Count <= 300, $"{query.Count} rows were asked for at once"));
    }

    [Fact]
    public void A_change_is_shown_where_the_list_stands()
    {
        var host = Store.AddHost("h1");
        Store.AddVm(host, "web-1", VmState.Running);
        var page = Show<Vms>();
        page.WaitForElement(Id("vm-link"));

        var added = Store.AddVm(host, "web-2", VmState.Running);
        Store.Feed.Tell(ChangeKind.Vm, added.Id);

        page.WaitForAssertion(() => Assert.Equal(["web-1", "web-2"], page.FindAll(Id("vm-link")).Select(link => link.TextContent)));
    }

    [Fact]
    public void What_is_asked_of_many_is_shown_first_and_then_asked_of_those_whom_it_concerns()
    {
        var host = Store.AddHost("h1");
        Store.AddVm(host, "stopped", VmState.Stopped);
        Store.AddVm(host, "running", VmState.Running);
        Store.AddVm(host, "failed", VmState.Failed);
        var page = Show<Vms>();
        page.WaitForElement(Id("select-all")).Change(true);
        Assert.Contains("3 selected", page.Find(Id("list-selection")).TextContent, StringComparison.Ordinal);

        page.Find(Id("bulk-start")).Click();

        var preview = page.WaitForElement(Id("bulk-preview"));
        Assert.Contains("left alone: runs already", preview.QuerySelectorAll("li")[1].TextContent, StringComparison.Ordinal);
        Assert.Empty(Store.Asked);
        Assert.Equal("Start 2 VMs", page.Find(Id("bulk-submit")).TextContent.Trim());
        page.Find(Id("bulk-submit")).Click();
        page.WaitForAssertion(() => Assert.Equal([$"start {Store.Vms.All[0].Id}", $"start {Store.Vms.All[2].Id}"], Store.Asked.Select(asked => asked.What)));
        Assert.Contains("2 VMs: start asked for", page.Find(Id("bulk-summary")).TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refusal_of_one_is_told_beside_it_and_holds_up_no_other()
    {
        var host = Store.AddHost("h1");
        Store.AddVm(host, "a", VmState.Running);
        Store.AddVm(host, "b", VmState.Running);
        var page = Show<Vms>();
        foreach (var i in new[] { 0, 1 })
            page.WaitForElements(Id("select"))[i].Change(true);
        page.Find(Id("bulk-stop")).Click();
        Store.Refusal = new ProblemException(ProblemKind.Conflict, "operation-active", "Not now.", "'Start VM a' is not over.");

        page.WaitForElement(Id("bulk-submit")).Click();

        page.WaitForAssertion(() => Assert.Equal([$"stop {Store.Vms.All[1].Id}"], Store.Asked.Select(asked => asked.What)));
        Assert.Contains("Not now. 'Start VM a' is not over.", page.Find(Id("bulk-preview")).QuerySelectorAll("li")[0].TextContent, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_rows_that_match_are_exported()
    {
        var host = Store.AddHost("h1");
        for (var i = 0; i < 1500; i++)
            Store.AddVm(host, $"web-{i:0000}", VmState.Running);
        Store.AddVm(host, "other", VmState.Running);
        Navigation.NavigateTo("/vms?q=web");
        var module = JSInterop.SetupModule("./js/download.js");
        byte[]? file = null;
        module.SetupVoid("save", call =>
        {
            using var copy = new MemoryStream();
            ((DotNetStreamReference)call.Arguments[1]!).Stream.CopyTo(copy);
            file = copy.ToArray();
            return true;
        }).SetVoidResult();
        var page = Show<Vms>();

        await page.WaitForElement(Id("list-csv")).ClickAsync(new());

        Assert.Equal("vms.csv", Assert.Single(module.Invocations["save"]).Arguments[0]);
        var lines = Encoding.UTF8.GetString(file!).TrimStart('\uFEFF').Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(1501, lines.Length);
        Assert.Equal("Name,State,Exits/s,Host,vCPUs,Memory,VFs,Started", lines[0]);
        Assert.StartsWith("web-0000,Running,,h1,1,512 MiB,0000:01:10.0,", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Cells_of_CSV_are_quoted_where_needed_and_never_are_formulas()
    {
        var text = new StringBuilder();
        Csv.AppendLine(text, ["plain", "a, b", "say \"so\"", "=HYPERLINK(1)", null]);
        Assert.Equal("plain,\"a, b\",\"say \"\"so\"\"\",'=HYPERLINK(1),\r\n", text.ToString());
    }

    [Fact]
    public void Without_a_host_the_overview_says_how_to_begin_and_with_some_it_adds_up()
    {
        var page = Show<Home>();
        page.WaitForElement(Id("overview-empty"));

        var host = Store.AddHost("h1", freeVfs: 3);
        Store.AddHost("h2", connected: false);
        Store.AddVm(host, "web-1", VmState.Running);
        Store.AddVm(host, "web-2", VmState.Failed);
        Store.Feed.Tell(ChangeKind.Host, host.Id);

        var tile = page.WaitForElement(Id("tile-hosts"));
        Assert.Contains("1 link lost", tile.TextContent, StringComparison.Ordinal);
        Assert.Equal("/hosts?state=lost", tile.QuerySelectorAll(".tile-parts a")[1].GetAttribute("href"));
        Assert.Contains("1 failed", page.Find(Id("tile-vms")).TextContent, StringComparison.Ordinal);
        Assert.Equal("web-1", page.Find($"{Id("most-exits")} .row-name").TextContent);
        Assert.Contains("1.50", page.Find(Id("most-exits")).TextContent, StringComparison.Ordinal);
    }
}
