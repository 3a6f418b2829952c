using Bunit;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Pages;

namespace Exitless.Web.Tests;

public sealed class LiveComponentTests : DashboardContext
{
    [Fact]
    public void A_change_is_shown_without_asking()
    {
        var page = Show<Hosts>();
        page.WaitForElement(Id("hosts-empty"));

        var host = Store.AddHost("h1");
        Store.Feed.Tell(ChangeKind.Host, host.Id);

        Assert.Equal("h1", page.WaitForElement(Id("host-link")).TextContent);
    }

    [Fact]
    public void A_flood_of_changes_is_read_as_one_after_a_rest()
    {
        var page = Show<Hosts>();
        page.WaitForElement(Id("hosts-empty"));
        Store.Feed.Tell(ChangeKind.Host, Guid.Empty);
        page.WaitForAssertion(() => Assert.Equal(2, Store.Hosts.Readings));

        for (var i = 0; i < 500; i++) Store.Feed.Tell(ChangeKind.Host, Guid.Empty);
        Assert.Equal(2, Store.Hosts.Readings);
        // The pump may only now begin its rest, so the clock is moved until the reading has come.
        page.WaitForState(() => { Clock.Advance(TimeSpan.FromMilliseconds(200)); return Store.Hosts.Readings >= 3; });

        Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(3, Store.Hosts.Readings);
    }

    [Fact]
    public async Task A_page_that_is_gone_no_longer_listens()
    {
        Show<Hosts>().WaitForElement(Id("hosts-empty"));
        Assert.Equal(1, Store.Feed.Subscribers);

        await DisposeComponentsAsync();

        Assert.Equal(0, Store.Feed.Subscribers);
    }
}
