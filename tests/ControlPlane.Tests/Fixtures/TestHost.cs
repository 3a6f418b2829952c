using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>A whole control plane on ports of its own, over a database of its own; one for each class that asks for it.</summary>
public sealed class TestHost(TestPostgres postgres) : IAsyncLifetime
{
    public static readonly Actor By = new("test");
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();
    private readonly OffsetClock _clock = new();
    private WebApplication? _app;
    private string _connection = "";

    internal OffsetClock Clock => _clock;

    internal IServiceProvider Services => App.Services;

    internal string DataFolder => _folder.Path;

    /// <summary>A client with a bearer token.</summary>
    internal HttpClient Http { get; private set; } = null!;

    internal string Token { get; private set; } = "";

    internal Uri Address => new($"https://127.0.0.1:{Services.GetRequiredService<Ports>().People}");

    /// <summary>The agents' port under the name that agents check, whatever address they dial.</summary>
    internal Uri AgentAddress => new($"https://{CertificateAuthority.AgentServerName}:{Services.GetRequiredService<Ports>().Agents}");

    internal CertificateAuthority Authority => Services.GetRequiredService<CertificateAuthority>();

    private WebApplication App => _app ?? throw new InvalidOperationException("Not started.");

    public async ValueTask InitializeAsync()
    {
        await StartAsync(await postgres.NewDatabaseAsync());
    }

    /// <summary>Stops this control plane and starts another over the same data.</summary>
    /// <param name="between">Runs while none is there.</param>
    internal async Task RestartAsync(Func<Task>? between = null)
    {
        var connection = _connection;
        await StopAsync();
        if (between is not null)
            await between();
        await StartAsync(connection);
    }

    /// <summary>Runs a command of the control plane's program with the same settings.</summary>
    /// <returns>Its exit code.</returns>
    internal async Task<int> CommandAsync(params string[] command)
    {
        string[] args = [.. command, .. Settings(_connection)];
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = _folder.Path });
        builder.AddControlPlane(args);
        builder.Logging.ClearProviders();
        return await builder.Build().RunControlPlaneAsync(args);
    }

    /// <summary>Another control plane over the same database.</summary>
    internal async Task<TestHost> ReplicaAsync()
    {
        var replica = new TestHost(postgres);
        await replica.StartAsync(_connection);
        return replica;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _folder.Dispose();
    }

    internal ControlPlaneContext Database() => Services.GetRequiredService<IDbContextFactory<ControlPlaneContext>>().CreateDbContext();

    /// <summary>A client that trusts the CA, with this token or none, and follows no redirect.</summary>
    internal HttpClient Client(string? token)
    {
        var client = new HttpClient(Handler()) { BaseAddress = Address, Timeout = TimeSpan.FromMinutes(1) };
        if (token is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    internal SocketsHttpHandler Handler()
    {
        var policy = new System.Security.Cryptography.X509Certificates.X509ChainPolicy
        {
            TrustMode = System.Security.Cryptography.X509Certificates.X509ChainTrustMode.CustomRootTrust,
            RevocationMode = System.Security.Cryptography.X509Certificates.X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(Authority.Certificate);
        return new SocketsHttpHandler { AllowAutoRedirect = false, SslOptions = { CertificateChainPolicy = policy } };
    }

    /// <summary>Like <see cref="Handler"/>, for <see cref="AgentAddress"/>.</summary>
    internal SocketsHttpHandler AgentHandler()
    {
        var handler = Handler();
        var port = Services.GetRequiredService<Ports>().Agents;
        handler.ConnectCallback = async (_, ct) =>
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(IPAddress.Loopback, port, ct);
            return new NetworkStream(socket, ownsSocket: true);
        };
        return handler;
    }

    /// <summary>GET; the body as JSON.</summary>
    internal async Task<JsonElement> GetAsync(string path)
    {
        using var answer = await Http.GetAsync(path);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"GET {path}: {(int)answer.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>GET; the body as the record that it is.</summary>
    internal async Task<T> GetAsync<T>(string path) => (await GetAsync(path)).Deserialize<T>(JsonFormat.Options)!;

    /// <summary>POST that must be accepted.</summary>
    internal async Task<OperationDto> ChangeAsync(string path, object? body = null)
    {
        using var answer = await PostAsync(path, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == 202, $"POST {path}: {(int)answer.StatusCode} {text}");
        var operation = JsonSerializer.Deserialize<OperationDto>(text, JsonFormat.Options)!;
        Assert.Equal($"/api/v1/operations/{operation.Id}", answer.Headers.Location?.ToString());
        return operation;
    }

    /// <summary>A request that must be refused with this status and code; the problem.</summary>
    internal async Task<JsonElement> RefusedAsync(HttpMethod method, string path, object? body, int status, string code)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : body is HttpContent content ? content : JsonContent.Create(body, options: JsonFormat.Options) };
        // So that a body that is too large is refused before it is sent.
        request.Headers.ExpectContinue = body is HttpContent;
        using var answer = await Http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == status, $"{method} {path}: {(int)answer.StatusCode} {text}");
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType?.MediaType);
        var problem = JsonDocument.Parse(text).RootElement;
        Assert.Equal(code, problem.GetProperty("code").GetString());
        return problem;
    }

    internal Task<HttpResponseMessage> PostAsync(string path, object? body) => Http.PostAsync(path, body is null ? null : JsonContent.Create(body, options: JsonFormat.Options));

    internal async Task<OperationDto> EndOfAsync(OperationDto operation)
    {
        var end = await GetAsync<OperationDto>($"/api/v1/operations/{operation.Id}?wait=30");
        Assert.True(end.Finished, $"{end.Title} is still {end.State}: {end.Progress}");
        return end;
    }

    /// <summary>Waits until a condition holds; it is looked at again whenever something changes.</summary>
    internal async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        using var changed = new SemaphoreSlim(0);
        using var subscription = Services.GetRequiredService<IChangeFeed>().Subscribe(_ => changed.Release());
        using var limit = new CancellationTokenSource(Limit);
        while (!await condition())
        {
            try
            {
                await changed.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Not within {Limit.TotalSeconds:0} s: {what}");
            }
        }
    }

    private async Task StartAsync(string connection)
    {
        _connection = connection;
        var args = Settings(connection);
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = _folder.Path });
        builder.Services.AddSingleton<TimeProvider>(_clock);
        builder.AddControlPlane(args);
        builder.Logging.ClearProviders();
        _app = builder.Build();
        _app.UseControlPlane();
        _app.MapControlPlane();
        await _app.StartAsync();
        Token = (await Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest($"test {Guid.CreateVersion7()}"), By, CancellationToken.None)).Token;
        Http = Client(Token);
    }

    private string[] Settings(string connection) => ["--Exitless:HttpsPort=0", "--Exitless:AgentPort=0", $"--Exitless:DataFolder={_folder.Path}", $"--ConnectionStrings:ControlPlane={connection}"];

    private async Task StopAsync()
    {
        Http.Dispose();
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
        _app = null;
    }
}
