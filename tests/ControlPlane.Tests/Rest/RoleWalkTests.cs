using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>Walks the description: every operation refuses whoever lacks its role, changes nothing then, and takes whoever has just that role.</summary>
public sealed class RoleWalkTests(TestHost host) : IClassFixture<TestHost>
{
    public static TheoryData<string> Operations => [.. ApiOperation.All.Select(o => o.Id)];

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Whoever_lacks_the_role_is_refused_and_whoever_has_it_is_not(string id)
    {
        var operation = ApiOperation.Named(id);
        var (name, reach) = operation.Needs;
        var needed = Enum.Parse<Role>(name, ignoreCase: true);
        await using var scene = await Scene.SetAsync(host, operation);
        var elsewhere = (await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("elsewhere")), TestHost.By, CancellationToken.None)).Id;
        Guid? place = reach == "fleet" ? null : scene.ProjectId;
        var lacking = new List<(string Who, string Token)> { ("nobody's", await TokenAsync(null, null)) };
        if (needed > Role.Viewer)
            lacking.Add(("the next lesser role's", await TokenAsync(needed - 1, place)));
        if (reach == "fleet")
            lacking.Add(("a project administrator's", await TokenAsync(Role.Admin, scene.ProjectId)));
        if (reach == "project")
            lacking.Add(("another project's administrator's", await TokenAsync(Role.Admin, elsewhere)));
        var rightful = await TokenAsync(needed, place);
        var before = await scene.StateAsync();
        foreach (var (who, token) in lacking)
        {
            using var client = host.Client(token);
            using var request = scene.Request(operation);
            using var answer = await client.SendAsync(request, TestContext.Current.CancellationToken);
            var text = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            Assert.True((int)answer.StatusCode == 403, $"{operation} under {who} token: {(int)answer.StatusCode} {text}");
            Assert.Equal("forbidden", (string?)JsonNode.Parse(text)!["code"]);
            Assert.Equal(before, await scene.StateAsync());
        }
        using var allowed = host.Client(rightful);
        using var right = scene.Request(operation);
        using var taken = await allowed.SendAsync(right, TestContext.Current.CancellationToken);
        Assert.True((int)taken.StatusCode == operation.Status, $"{operation}: {(int)taken.StatusCode} {await taken.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
    }

    /// <summary>A token with a role, or with none.</summary>
    private async Task<string> TokenAsync(Role? role, Guid? project)
    {
        var made = await host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest(Requests.Name("walker"), null, role ?? Role.Viewer, project), TestHost.By, CancellationToken.None);
        if (role is null)
        {
            await using var db = host.Database();
            await db.Grants.Where(g => g.SubjectId == made.Id).ExecuteDeleteAsync();
        }
        return made.Token;
    }
}
