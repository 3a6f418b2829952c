using System.Collections.Concurrent;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Access;

/// <summary>What the pages of administrators rest on: that they hear of changes, and that nobody else reads the audit log.</summary>
public sealed class AdministrationTests(TestHost host) : IClassFixture<TestHost>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Whoever_looks_hears_of_people_and_projects()
    {
        var heard = new ConcurrentBag<Change>();
        using var subscription = host.Services.GetRequiredService<IChangeFeed>().Subscribe(heard.Add);
        var projects = host.Services.GetRequiredService<IProjects>();
        var people = host.Services.GetRequiredService<IPeopleDirectory>();
        var project = await projects.CreateAsync(new ProjectRequest(Requests.Name("heard")), TestHost.By, Stop);
        await projects.ChangeAsync(project.Id, new ProjectRequest(project.Name, new QuotaDto(Vms: 1)), TestHost.By, Stop);
        await projects.DeleteAsync(project.Id, TestHost.By, Stop);
        Assert.Equal(3, heard.Count(c => c == new Change(ChangeKind.Project, project.Id)));
        var person = await people.CreateAsync(new CreatePersonRequest(Requests.Name("heard"), []), TestHost.By, Stop);
        await people.SetGrantsAsync(person.Id, new SetGrantsRequest([new GrantDto(Role.Viewer)]), TestHost.By, Stop);
        await people.ResetPasswordAsync(person.Id, TestHost.By, Stop);
        await people.EndSessionsAsync(person.Id, TestHost.By, Stop);
        await people.DeleteAsync(person.Id, TestHost.By, Stop);
        Assert.Equal(5, heard.Count(c => c == new Change(ChangeKind.Person, person.Id)));
    }

    [Fact]
    public async Task The_audit_log_is_searched_and_shown_to_administrators_of_the_fleet_alone()
    {
        var (lists, projects, people) = (host.Services.GetRequiredService<IFleetLists>(), host.Services.GetRequiredService<IProjects>(), host.Services.GetRequiredService<IPeopleDirectory>());
        var project = await projects.CreateAsync(new ProjectRequest(Requests.Name("audited")), TestHost.By, Stop);
        await projects.ChangeAsync(project.Id, new ProjectRequest(project.Name, new QuotaDto(Vfs: 2)), TestHost.By, Stop);
        var all = await lists.AuditAsync(new ListQuery(project.Name), TestHost.By, Stop);
        Assert.Equal([AuditAction.Changed, AuditAction.Created], all.Items.Select(a => a.Action));
        var changed = Assert.Single((await lists.AuditAsync(new ListQuery(project.Name, new Dictionary<string, string>(StringComparer.Ordinal) { ["action"] = "changed" }), TestHost.By, Stop)).Items);
        Assert.Equal("2", changed.After!["mostVfs"]!.ToJsonString());
        var admin = await people.CreateAsync(new CreatePersonRequest(Requests.Name("admin"), [new GrantDto(Role.Admin)]), TestHost.By, Stop);
        var partly = await people.CreateAsync(new CreatePersonRequest(Requests.Name("partly"), [new GrantDto(Role.Operator), new GrantDto(Role.Admin, project.Id)]), TestHost.By, Stop);
        Assert.Equal(2, (await lists.AuditAsync(new ListQuery(project.Name), new Actor(admin.Name, admin.Id), Stop)).Total);
        Assert.Equal("forbidden", (await Assert.ThrowsAsync<ProblemException>(() => lists.AuditAsync(new ListQuery(), new Actor(partly.Name, partly.Id), Stop))).Code);
        Assert.Equal([new GrantDto(Role.Admin)], await people.GrantsAsync(admin.Id, Stop));
    }
}
