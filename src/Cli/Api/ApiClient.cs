using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Exitless.Cli.Api;

/// <summary>The REST API. Every change carries a key, so that it can be sent again when its answer was lost.</summary>
internal sealed class ApiClient : IDisposable
{
    private const int Tries = 3;

    private readonly HttpClient _http;
    private readonly X509Certificate2Collection _trusted = [];

    public ApiClient(Login login)
    {
        if (!Uri.TryCreate(login.Server, UriKind.Absolute, out var server) || server.Scheme != Uri.UriSchemeHttps)
            throw new FailureException(ExitCode.Usage, $"'{login.Server}' is no address of a control plane; it begins with https://.");
        if (login.Token is null)
            throw new FailureException(ExitCode.NotAllowed, "Not signed in. Run 'exitless login --token ...', or set EXITLESS_TOKEN.");
        _http = new HttpClient(Handler(login.Authority)) { BaseAddress = server, Timeout = TimeSpan.FromMinutes(6) };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", login.Token);
    }

    /// <summary>GET, with its entity tag.</summary>
    public async Task<(JsonNode Body, EntityTagHeaderValue? Tag)> GetAsync(string path, CancellationToken ct)
    {
        using var answer = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, path), ct);
        return ((await ReadAsync(answer, ct))!, answer.Headers.ETag);
    }

    /// <summary>A whole list, page by page; or as much of it as is asked for.</summary>
    public async Task<JsonArray> ListAsync(string path, int? most, CancellationToken ct)
    {
        var all = new JsonArray();
        var page = Math.Min(most ?? int.MaxValue, 500);
        for (var next = $"{path}{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}limit={page}"; next is not null && all.Count < (most ?? int.MaxValue);)
        {
            using var answer = await SendAsync(() => new HttpRequestMessage(HttpMethod.Get, next), ct);
            foreach (var item in ((JsonArray)(await ReadAsync(answer, ct))!).Take((most ?? int.MaxValue) - all.Count))
                all.Add(item!.DeepClone());
            next = answer.Headers.TryGetValues("Link", out var link) ? link.Single().Split('<', '>')[1] : null;
        }
        return all;
    }

    /// <summary>A change, under a key of its own; null: the answer has no body.</summary>
    public async Task<JsonNode?> ChangeAsync(HttpMethod method, string path, JsonNode? body, EntityTagHeaderValue? tag, CancellationToken ct)
    {
        var key = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
        using var answer = await SendAsync(() =>
        {
            var request = new HttpRequestMessage(method, path);
            request.Headers.Add("Idempotency-Key", key);
            if (tag is not null)
                request.Headers.IfMatch.Add(tag);
            if (body is not null)
                request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
            return request;
        }, ct);
        return await ReadAsync(answer, ct);
    }

    public void Dispose()
    {
        _http.Dispose();
        foreach (var certificate in _trusted)
            certificate.Dispose();
    }

    private async Task<HttpResponseMessage> SendAsync(Func<HttpRequestMessage> make, CancellationToken ct)
    {
        for (var left = Tries; ; left--)
        {
            using var request = make();
            try
            {
                var answer = await _http.SendAsync(request, ct);
                if (answer.IsSuccessStatusCode)
                    return answer;
                using (answer)
                    throw FailureException.Of((int)answer.StatusCode, await ProblemAsync(answer, ct), $"{request.Method} {request.RequestUri}");
            }
            catch (HttpRequestException e) when (left > 1 && e.HttpRequestError is HttpRequestError.ResponseEnded)
            {
                // The connection was lost before the answer came; the key keeps the change from being made twice.
            }
            catch (HttpRequestException e)
            {
                throw new FailureException(ExitCode.Unreachable, $"{_http.BaseAddress} does not answer: {e.Message} {e.InnerException?.Message}".TrimEnd(), e);
            }
        }
    }

    private static async Task<JsonNode?> ReadAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        var text = await answer.Content.ReadAsStringAsync(ct);
        return text.Length == 0 ? null : JsonNode.Parse(text);
    }

    private static async Task<JsonNode?> ProblemAsync(HttpResponseMessage answer, CancellationToken ct)
    {
        try
        {
            return await ReadAsync(answer, ct);
        }
        catch (JsonException)
        {
            // Something between here and the control plane has answered.
            return null;
        }
    }

    private SocketsHttpHandler Handler(string? authority)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        if (authority is null)
            return handler;
        try
        {
            _trusted.ImportFromPemFile(authority);
        }
        catch (Exception e) when (e is IOException or CryptographicException or UnauthorizedAccessException)
        {
            throw new FailureException(ExitCode.Usage, $"The authority '{authority}' cannot be read: {e.Message}", e);
        }
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(_trusted);
        handler.SslOptions.CertificateChainPolicy = policy;
        return handler;
    }
}
