using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Exitless.Run.Stack;

/// <summary>The REST API as a script sees it: bearer token, HTTPS under the control plane's own CA.</summary>
public sealed class RestClient : IDisposable
{
    private readonly X509Certificate2 _authority;
    private readonly HttpClient _http;

    /// <param name="address">The control plane, for people and scripts.</param>
    /// <param name="token">An API token.</param>
    /// <param name="authorityFile">The CA's certificate, PEM.</param>
    public RestClient(Uri address, string token, string authorityFile)
    {
        _authority = X509CertificateLoader.LoadCertificateFromFile(authorityFile);
        Token = token;
        Address = address;
        _http = new HttpClient(Handler()) { BaseAddress = address, Timeout = TimeSpan.FromMinutes(2) };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>The API token.</summary>
    public string Token { get; }

    /// <summary>The control plane's address.</summary>
    public Uri Address { get; }

    /// <summary>A handler that trusts the control plane's CA and nothing else.</summary>
    public HttpMessageHandler Handler()
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(_authority);
        return new SocketsHttpHandler { SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy } };
    }

    /// <summary>GET, as JSON.</summary>
    /// <exception cref="RestProblemException">The API answered with a problem.</exception>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellation)
    {
        using var answer = await _http.GetAsync(path, cancellation);
        return await ReadAsync(answer, cancellation);
    }

    /// <summary>POST with a JSON body, or none.</summary>
    /// <exception cref="RestProblemException">The API answered with a problem.</exception>
    public async Task<JsonElement> PostAsync(string path, object? body, CancellationToken cancellation)
    {
        using var content = body is null ? null : JsonContent.Create(body);
        using var answer = await _http.PostAsync(path, content, cancellation);
        return await ReadAsync(answer, cancellation);
    }

    /// <summary>DELETE.</summary>
    /// <exception cref="RestProblemException">The API answered with a problem.</exception>
    public async Task<JsonElement> DeleteAsync(string path, CancellationToken cancellation)
    {
        using var answer = await _http.DeleteAsync(path, cancellation);
        return await ReadAsync(answer, cancellation);
    }

    /// <summary>Waits until an operation is done.</summary>
    /// <returns>The operation, succeeded.</returns>
    /// <exception cref="RestProblemException">It failed, was cancelled, or was not done in time; the message says why.</exception>
    public async Task<JsonElement> DoneAsync(JsonElement operation, TimeSpan limit, CancellationToken cancellation)
    {
        var id = operation.GetProperty("id").GetString()!;
        var what = operation.GetProperty("kind").GetString()!;
        var started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var now = await GetAsync($"api/v1/operations/{id}?wait=10", cancellation);
            switch (now.GetProperty("state").GetString())
            {
                case "done":
                    return now;
                case "failed" or "cancelled":
                    throw RestProblemException.OfOperation(what, now);
            }
            if (TimeProvider.System.GetElapsedTime(started) > limit)
                throw new RestProblemException($"{what} was not done within {limit.TotalSeconds:0} s: {now}", now);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _http.Dispose();
        _authority.Dispose();
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage answer, CancellationToken cancellation)
    {
        var text = await answer.Content.ReadAsStringAsync(cancellation);
        var json = text.Length == 0 ? default : JsonDocument.Parse(text).RootElement;
        if (answer.IsSuccessStatusCode)
            return json;
        throw new RestProblemException($"{answer.RequestMessage?.Method} {answer.RequestMessage?.RequestUri?.AbsolutePath}: {(int)answer.StatusCode} {text}", json);
    }
}
