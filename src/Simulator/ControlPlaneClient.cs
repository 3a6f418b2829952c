using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Exitless.Simulator;

/// <summary>The few requests of the REST API that a fleet makes: enrolment tokens, devices, VMs.</summary>
internal sealed class ControlPlaneClient : IDisposable
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);
    private readonly HttpClient _http;

    /// <param name="server">The address for people and scripts.</param>
    /// <param name="token">An API token.</param>
    /// <param name="authority">The CA that the server's certificate must come from.</param>
    public ControlPlaneClient(Uri server, string token, X509Certificate2 authority)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.Add(authority);
        _http = new HttpClient(new SocketsHttpHandler { UseProxy = false, SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy } }) { BaseAddress = server, Timeout = TimeSpan.FromMinutes(2) };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public async Task<EnrolmentToken> EnrolmentTokenAsync(string label, CancellationToken ct) =>
        (await SendAsync(HttpMethod.Post, "api/v1/enrolment-tokens", new { label }, ct)).Deserialize<EnrolmentToken>(Json)!;

    /// <summary>Addresses of the VFs of a host that a VM could own now.</summary>
    public async Task<IReadOnlyList<string>> FreeVfsAsync(string hostId, CancellationToken ct) =>
        [.. (await SendAsync(HttpMethod.Get, $"api/v1/hosts/{hostId}/devices", null, ct)).EnumerateArray()
            .Where(d => d.GetProperty("kind").GetString() == "vf" && d.GetProperty("assignable").GetBoolean()).Select(d => d.GetProperty("address").GetString()!)];

    public async Task<bool> HasInventoryAsync(string hostId, CancellationToken ct) =>
        (await SendAsync(HttpMethod.Get, $"api/v1/hosts/{hostId}", null, ct)).GetProperty("facts").ValueKind == JsonValueKind.Object;

    public async Task<IReadOnlySet<string>> VmNamesAsync(string hostId, CancellationToken ct) =>
        (await SendAsync(HttpMethod.Get, $"api/v1/vms?hostId={hostId}", null, ct)).EnumerateArray().Select(vm => vm.GetProperty("name").GetString()!).ToHashSet(StringComparer.Ordinal);

    public Task CreateVmAsync(string name, string hostId, int vcpus, int memoryMib, string? vf, CancellationToken ct) =>
        SendAsync(HttpMethod.Post, "api/v1/vms", new
        {
            name,
            hostId,
            kernel = "debian-12.vmlinuz",
            initrd = "debian-12.initrd",
            commandLine = "console=ttyS0",
            vcpus,
            memoryMib,
            devices = vf is null ? [] : new[] { new { address = vf } },
            start = true,
        }, ct);

    public void Dispose() => _http.Dispose();

    private async Task<JsonElement> SendAsync(HttpMethod method, string path, object? body, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body, options: Json) };
        using var answer = await _http.SendAsync(request, ct);
        var text = await answer.Content.ReadAsStringAsync(ct);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }
}

/// <summary>A one-time token, and what an agent needs beside it.</summary>
internal sealed record EnrolmentToken(string Token, string AuthorityFingerprint, int AgentPort);
