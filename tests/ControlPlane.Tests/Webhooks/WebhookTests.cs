using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Rest;
using Exitless.ControlPlane.Tests.Fixtures;
using Exitless.ControlPlane.Webhooks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Exitless.ControlPlane.Tests.Webhooks;

/// <summary>Webhooks against a receiver over the loopback: signed, in order, and none lost however often it fails.</summary>
public sealed class WebhookTests(TestHost host) : IClassFixture<TestHost>
{
    [Fact]
    public async Task Every_event_arrives_once_in_order_and_signed_though_the_receiver_fails_at_first()
    {
        await using var receiver = await Receiver.StartAsync(failures: 2);
        var made = await MakeAsync(receiver.Address, "project-created");
        var projects = host.Services.GetRequiredService<IProjects>();
        for (var i = 0; i < 5; i++)
            await projects.CreateAsync(new ProjectRequest($"{made.Name}-{i}"), TestHost.By, CancellationToken.None);
        await receiver.ReceivedAsync(1);
        await WaitAsync(made.Id, w => w is { Attempts: 1, Waiting: 5, NextAttemptAt: not null, LastError: "It answered with 503." });
        // The pauses pass, the second as long again.
        host.Clock.Advance(WebhookSender.Pause(1));
        await WaitAsync(made.Id, w => w.Attempts == 2);
        host.Clock.Advance(WebhookSender.Pause(2));
        var posts = await receiver.ReceivedAsync(7);
        Assert.Equal([0, 1, 2, 3, 4], posts.Skip(2).Select(p => int.Parse(JsonSerializer.Deserialize<EventDto>(p.Body, JsonFormat.Options)!.Message.TrimEnd('.').Split('-')[^1], System.Globalization.CultureInfo.InvariantCulture)));
        Assert.All(posts, p =>
        {
            var time = long.Parse(p.Signature.Split(',')[0][2..], System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(WebhookSender.Sign(made.Secret, time, p.Body), p.Signature);
            Assert.NotEqual(WebhookSender.Sign(made.Secret + "x", time, p.Body), p.Signature);
        });
        await WaitAsync(made.Id, w => w is { Waiting: 0, Attempts: 0, LastError: null, DeliveredAt: not null });
    }

    [Fact]
    public async Task What_happens_while_the_control_plane_is_away_is_delivered_afterwards()
    {
        await using var receiver = await Receiver.StartAsync(failures: int.MaxValue);
        var made = await MakeAsync(receiver.Address, "project-created");
        await host.Services.GetRequiredService<IProjects>().CreateAsync(new ProjectRequest(Requests.Name("kept")), TestHost.By, CancellationToken.None);
        await receiver.ReceivedAsync(1);
        await host.RestartAsync();
        receiver.Failures = 0;
        host.Clock.Advance(TimeSpan.FromHours(1));
        await WaitAsync(made.Id, w => w.Waiting == 0);
    }

    [Fact]
    public async Task The_secret_is_not_in_the_database_as_it_is()
    {
        await using var receiver = await Receiver.StartAsync(failures: 0);
        var made = await MakeAsync(receiver.Address, "none-such");
        await using var db = host.Database();
        Assert.DoesNotContain(made.Secret[5..], (await db.Webhooks.SingleAsync(w => w.Id == made.Id, TestContext.Current.CancellationToken)).Secret, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 10)]
    [InlineData(10, 2560)]
    [InlineData(11, 3600)]
    [InlineData(1000, 3600)]
    public void Pauses_double_and_end_at_an_hour(int attempts, int seconds) => Assert.Equal(seconds, WebhookSender.Pause(attempts).TotalSeconds);

    [Theory]
    [InlineData("http://elsewhere.example/x")]
    [InlineData("ftp://elsewhere.example/x")]
    [InlineData("https://user:password@elsewhere.example/x")]
    [InlineData("nonsense")]
    public async Task An_address_that_is_none_is_refused(string url)
    {
        var problem = await host.RefusedAsync(HttpMethod.Post, "/api/v1/webhooks", new WebhookRequest("wrong", url), 400, "webhook-invalid");
        Assert.True(problem.GetProperty("errors").TryGetProperty("url", out _), $"{problem}");
    }

    private Task<CreatedWebhookDto> MakeAsync(Uri address, params string[] kinds) =>
        host.Services.GetRequiredService<IWebhooks>().CreateAsync(new WebhookRequest(Requests.Name("hook"), address.ToString(), kinds), TestHost.By, CancellationToken.None);

    private async Task WaitAsync(Guid id, Func<WebhookDto, bool> so)
    {
        using var limit = new CancellationTokenSource(TestHost.Limit);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        WebhookDto now;
        while (!so(now = await host.GetAsync<WebhookDto>($"/api/v1/webhooks/{id}")))
        {
            Assert.False(limit.IsCancellationRequested, $"{now}");
            await timer.WaitForNextTickAsync();
        }
    }

    private sealed record Post(string Body, string Signature);

    /// <summary>A server that refuses so many posts with 503, and then takes all.</summary>
    private sealed class Receiver : IAsyncDisposable
    {
        private readonly ConcurrentQueue<Post> _posts = new();
        private readonly SemaphoreSlim _arrived = new(0);
        private readonly WebApplication _app;
        private int _failures;

        private Receiver(int failures)
        {
            _failures = failures;
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            _app = builder.Build();
            _app.MapPost("/", async (HttpContext context) =>
            {
                using var reader = new StreamReader(context.Request.Body, Encoding.UTF8);
                var body = await reader.ReadToEndAsync();
                context.Response.StatusCode = (int)(Interlocked.Decrement(ref _failures) >= 0 ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.NoContent);
                _posts.Enqueue(new Post(body, context.Request.Headers[WebhookSender.SignatureHeader].ToString()));
                _arrived.Release();
            });
        }

        public Uri Address => new(_app.Urls.Single());

        public int Failures { set => Volatile.Write(ref _failures, value); }

        public static async Task<Receiver> StartAsync(int failures)
        {
            var receiver = new Receiver(failures);
            await receiver._app.StartAsync();
            return receiver;
        }

        /// <summary>All posts, as soon as there are so many.</summary>
        public async Task<IReadOnlyList<Post>> ReceivedAsync(int count)
        {
            using var limit = new CancellationTokenSource(TestHost.Limit);
            while (_posts.Count < count)
                await _arrived.WaitAsync(limit.Token);
            return [.. _posts];
        }

        public async ValueTask DisposeAsync()
        {
            await _app.DisposeAsync();
            _arrived.Dispose();
        }
    }
}
