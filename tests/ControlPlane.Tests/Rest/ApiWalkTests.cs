using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>Walks the description: what is promised of every operation is tried with each.</summary>
public sealed class ApiWalkTests(TestHost host) : IClassFixture<TestHost>
{
    private const string Stale = "\"stale\"";

    public static TheoryData<string> Operations => [.. ApiOperation.All.Select(o => o.Id)];

    public static TheoryData<string> Reads => [.. ApiOperation.All.Where(o => o is { Reads: true, Streams: false }).Select(o => o.Id)];

    public static TheoryData<string> Changes => [.. ApiOperation.All.Where(o => !o.Reads).Select(o => o.Id)];

    public static TheoryData<string> ChangesOfResources => [.. ApiOperation.All.Where(o => o.Resource is not null).Select(o => o.Id)];

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Whoever_is_not_signed_in_is_refused(string id)
    {
        var operation = ApiOperation.Named(id);
        foreach (var token in (string?[])[null, "exat_wrong"])
        {
            using var nobody = host.Client(token);
            using var request = new HttpRequestMessage(operation.Method, operation.ExampleTarget);
            using var answer = await nobody.SendAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        }
    }

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Its_example_is_answered_as_described(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        using var answer = await SendAsync(operation, scene);
        var text = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True((int)answer.StatusCode == operation.Status, $"{operation}: {(int)answer.StatusCode} {text}");
        Assert.True(operation.ExampleAnswer is not null || operation.Status == 204 || operation.Streams, $"{operation} shows no answer.");
        Assert.True(operation.ExampleBody is not null == operation.BodySchema is not null, $"{operation} shows no body.");
        if (operation.Streams)
            Assert.Matches("^id: [0-9]+\nevent: [a-z-]+\ndata: \\{.*\\}\n\n$", text);
        if (operation.ExampleAnswer is { } shown)
            Shape.Compare(shown, JsonNode.Parse(text), "$", $"{operation}: {text}");
    }

    [Theory]
    [MemberData(nameof(Reads))]
    public async Task What_is_read_has_a_tag_and_is_not_sent_again(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        using var first = await SendAsync(operation, scene);
        Assert.Equal(200, (int)first.StatusCode);
        var tag = first.Headers.ETag;
        Assert.True(tag is { IsWeak: false }, $"{operation} has no strong tag.");
        using var second = await SendAsync(operation, scene, r => r.Headers.IfNoneMatch.Add(tag));
        Assert.Equal(304, (int)second.StatusCode);
        Assert.Equal(tag, second.Headers.ETag);
        Assert.Equal("", await second.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        using var other = await SendAsync(operation, scene, r => r.Headers.IfNoneMatch.Add(new EntityTagHeaderValue("\"other\"")));
        Assert.Equal(200, (int)other.StatusCode);
    }

    [Fact]
    public void Every_change_is_of_a_resource_or_makes_something_new()
    {
        foreach (var operation in ApiOperation.All.Where(o => !o.Reads))
        {
            Assert.True(operation.Resource is not null == operation.Path.Contains('{', StringComparison.Ordinal), $"{operation} names nothing whose tag it would take.");
            if (operation.Resource is { } resource)
                Assert.Contains(ApiOperation.All, o => o.Reads && o.Path == resource);
        }
        Assert.InRange(ApiOperation.All.Count, 33, int.MaxValue);
    }

    [Theory]
    [MemberData(nameof(ChangesOfResources))]
    public async Task A_stale_tag_is_refused_and_the_true_one_is_taken(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        var before = await scene.StateAsync();
        using (var refused = await SendAsync(operation, scene, r => r.Headers.IfMatch.ParseAdd(Stale)))
        {
            var problem = JsonNode.Parse(await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!;
            Assert.True((int)refused.StatusCode == 412, $"{operation}: {problem}");
            Assert.Equal("etag-stale", (string?)problem["code"]);
        }
        Assert.Equal(before, await scene.StateAsync());
        using var read = await host.Http.GetAsync(new Uri(scene.Real(operation.PathWith(operation.Resource!)), UriKind.Relative), TestContext.Current.CancellationToken);
        using var taken = await SendAsync(operation, scene, r => r.Headers.IfMatch.Add(read.Headers.ETag!));
        Assert.True((int)taken.StatusCode == operation.Status, $"{operation}: {await taken.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
        Assert.NotEqual(before, await scene.StateAsync());
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task Repeats_with_the_same_key_do_the_work_once(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        var before = await scene.StateAsync();
        var key = Guid.CreateVersion7().ToString();
        var answers = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => AnswerAsync(operation, scene, key)));
        var once = await scene.StateAsync();
        Assert.NotEqual(before, once);
        Assert.Equal(operation.Status, answers[0].Status);
        Assert.All(answers, a => Assert.Equal((answers[0].Status, answers[0].Location, answers[0].Body), (a.Status, a.Location, a.Body)));
        Assert.Equal(1, answers.Count(a => !a.Replayed));
        var again = await AnswerAsync(operation, scene, key);
        Assert.Equal((true, answers[0].Status, answers[0].Body), (again.Replayed, again.Status, again.Body));
        Assert.Equal(once, await scene.StateAsync());
    }

    private async Task<(int Status, string? Location, string Body, bool Replayed)> AnswerAsync(ApiOperation operation, Scene scene, string key)
    {
        using var answer = await SendAsync(operation, scene, r => r.Headers.Add("Idempotency-Key", key));
        return ((int)answer.StatusCode, answer.Headers.Location?.ToString(), await answer.Content.ReadAsStringAsync(), answer.Headers.Contains("Idempotency-Replayed"));
    }

    private async Task<HttpResponseMessage> SendAsync(ApiOperation operation, Scene scene, Action<HttpRequestMessage>? change = null)
    {
        using var request = scene.Request(operation);
        change?.Invoke(request);
        return await host.Http.SendAsync(request);
    }
}
