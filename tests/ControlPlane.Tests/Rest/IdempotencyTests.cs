using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Idempotency;
using Exitless.ControlPlane.Metrics;
using Exitless.ControlPlane.Rest;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>What the walk does not reach: keys that are used wrongly, refusals, crashes, and what is kept of an answer.</summary>
public sealed class IdempotencyTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task A_key_of_another_request_is_refused()
    {
        var key = Key();
        using (var first = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("one"), key))
            Assert.Equal(201, (int)first.StatusCode);
        foreach (var (path, body) in ((string, object)[])[("/api/v1/tokens", new CreateApiTokenRequest("two")), ("/api/v1/enrolment-tokens", new CreateEnrolmentTokenRequest("one"))])
        {
            using var second = await SendAsync(path, body, key);
            Assert.Equal(422, (int)second.StatusCode);
            Assert.Contains("idempotency-key-reused", await second.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        }
        var made = await host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest("other caller"), TestHost.By, CancellationToken.None);
        using var other = host.Client(made.Token);
        using var request = Request("/api/v1/tokens", new CreateApiTokenRequest("three"), key);
        using var third = await other.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(201, (int)third.StatusCode);
    }

    [Fact]
    public async Task White_space_and_order_make_no_other_request()
    {
        var key = Key();
        foreach (var text in (string[])["""{"name":"spaced","days":3}""", """{ "days": 3, "name": "spaced" }"""])
        {
            using var request = Request("/api/v1/tokens", null, key);
            request.Content = new StringContent(text, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
            using var answer = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(201, (int)answer.StatusCode);
        }
    }

    [Fact]
    public async Task A_refusal_keeps_no_key()
    {
        using (var taken = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("contested"), Key()))
            Assert.Equal(201, (int)taken.StatusCode);
        var key = Key();
        using (var refused = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("contested"), key))
            Assert.Equal(409, (int)refused.StatusCode);
        var tokens = host.Services.GetRequiredService<IApiTokens>();
        await tokens.RevokeAsync((await tokens.ListAsync(CancellationToken.None)).Single(t => t.Name == "contested").Id, TestHost.By, CancellationToken.None);
        using var made = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("contested"), key);
        Assert.Equal(201, (int)made.StatusCode);
    }

    [Fact]
    public async Task A_kept_answer_gives_no_secret_away_and_goes_after_a_day()
    {
        using var answer = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("sealed"), Key());
        var made = JsonSerializer.Deserialize<CreatedApiTokenDto>(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), JsonFormat.Options)!;
        await using var db = host.Database();
        var rows = await db.IdempotencyKeys.AsNoTracking().ToListAsync(TestContext.Current.CancellationToken);
        Assert.NotEmpty(rows);
        Assert.All(rows, r => Assert.DoesNotContain(made.Token[^20..], Encoding.Latin1.GetString(r.Body ?? []), StringComparison.Ordinal));
        host.Clock.Advance(RepeatableRequests.Kept + TimeSpan.FromMinutes(1));
        await host.Services.GetRequiredService<Retention>().RunAsync(CancellationToken.None);
        Assert.False(await db.IdempotencyKeys.AnyAsync(TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("")]
    [InlineData("with space")]
    public async Task A_key_that_is_none_is_refused_by_name(string key)
    {
        using var answer = await SendAsync("/api/v1/tokens", new CreateApiTokenRequest("keyless"), key);
        Assert.Equal(400, (int)answer.StatusCode);
        Assert.Contains("Idempotency-Key", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_repeat_takes_over_what_a_crash_left_undone_and_tells_of_a_lost_answer()
    {
        var keys = host.Services.GetRequiredService<RepeatableRequests>();
        var request = new KeyedRequest(Guid.CreateVersion7(), "credential", Key(), "POST", "/x", [1]);
        var (crashed, _) = await keys.BeginAsync(request, CancellationToken.None);
        Assert.NotNull(crashed);
        host.Clock.Advance(TimeSpan.FromMinutes(7));
        var (second, _) = await keys.BeginAsync(request, CancellationToken.None);
        await using var db = host.Database();
        // The first attempt was only slow: it finds that it is late, and its transaction falls.
        Assert.Equal("idempotency-key-taken-over", (await Assert.ThrowsAsync<ProblemException>(() => crashed.MarkAsync(db, CancellationToken.None))).Code);
        await second!.MarkAsync(db, CancellationToken.None);
        host.Clock.Advance(TimeSpan.FromMinutes(7));
        Assert.Equal("idempotency-answer-lost", (await Assert.ThrowsAsync<ProblemException>(() => keys.BeginAsync(request, CancellationToken.None))).Code);
    }

    private static string Key() => Guid.CreateVersion7().ToString();

    private static HttpRequestMessage Request(string path, object? body, string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = body is null ? null : JsonContent.Create(body, body.GetType(), options: JsonFormat.Options) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return request;
    }

    private async Task<HttpResponseMessage> SendAsync(string path, object body, string key)
    {
        using var request = Request(path, body, key);
        return await host.Http.SendAsync(request);
    }
}
