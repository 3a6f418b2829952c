using System.Net;
using System.Text.Json;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Identity;

/// <summary>Who gets in, and that nobody else does.</summary>
public sealed class AccessTests(TestHost host, TestPostgres postgres) : IClassFixture<TestHost>
{
    /// <summary>All that may answer without a login on the people's port, beside the files of the pages.</summary>
    private static readonly string[] Open = ["/health/live", "/health/ready", "/healthz", "/readyz", AccountPaths.SignIn, AccountPaths.LoginPage];

    [Fact]
    public async Task Nothing_but_health_and_sign_in_answers_without_a_login()
    {
        using var nobody = host.Client(null);
        Assert.InRange(await TryAllAsync(nobody, host.Services), 26, int.MaxValue);
    }

    /// <summary>The same of the whole application, dashboard and all, as it is run.</summary>
    [Fact]
    public async Task Nothing_of_the_dashboard_but_the_login_page_answers_without_a_login()
    {
        using var folder = new TemporaryFolder();
        await using var app = Web.Program.Build([
            "--applicationName=Exitless.Web", $"--contentRoot={AppContext.BaseDirectory}", "--Exitless:HttpsPort=0", "--Exitless:AgentPort=0", $"--Exitless:DataFolder={folder.Path}",
            $"--ConnectionStrings:ControlPlane={await postgres.NewDatabaseAsync()}", "--Logging:LogLevel:Default=None", "--Logging:LogLevel:Exitless=None",
        ]);
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var handler = host.Handler();
        handler.SslOptions.CertificateChainPolicy!.CustomTrustStore.Clear();
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(app.Services.GetRequiredService<ControlPlane.Authority.CertificateAuthority>().Certificate);
        using var nobody = new HttpClient(handler) { BaseAddress = new Uri($"https://127.0.0.1:{app.Services.GetRequiredService<ControlPlane.Configuration.Ports>().People}") };
        Assert.InRange(await TryAllAsync(nobody, app.Services), 35, int.MaxValue);
        using (var login = await nobody.GetAsync(new Uri(AccountPaths.LoginPage, UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.OK, login.StatusCode);
        await app.StopAsync(TestContext.Current.CancellationToken);
    }

    private static async Task<int> TryAllAsync(HttpClient nobody, IServiceProvider services)
    {
        var tried = 0;
        foreach (var endpoint in services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            if (endpoint.Metadata.GetMetadata<Microsoft.AspNetCore.StaticAssets.StaticAssetDescriptor>() is not null)
                continue;
            var path = Fill(endpoint.RoutePattern);
            foreach (var method in endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? ["GET"])
            {
                using var request = new HttpRequestMessage(new HttpMethod(method), path);
                using var answer = await nobody.SendAsync(request, TestContext.Current.CancellationToken);
                tried++;
                if (Open.Contains(path))
                    continue;
                var refused = answer.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed
                    || (answer.StatusCode == HttpStatusCode.Redirect && answer.Headers.Location!.AbsolutePath == AccountPaths.LoginPage);
                Assert.True(refused, $"{method} {path} answered {(int)answer.StatusCode} to nobody.");
                if (path.StartsWith("/api/", StringComparison.Ordinal))
                    Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            }
        }
        return tried;
    }

    [Fact]
    public async Task On_the_agents_port_only_enrolment_answers_without_a_certificate()
    {
        using var nobody = new HttpClient(host.AgentHandler()) { BaseAddress = host.AgentAddress, DefaultRequestVersion = new Version(2, 0), DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        foreach (var endpoint in host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            var path = Fill(endpoint.RoutePattern);
            if (path.StartsWith("/exitless.agent.v1.Enrolment/", StringComparison.Ordinal))
                continue;
            var method = endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods[0] ?? "GET";
            using var request = new HttpRequestMessage(new HttpMethod(method), path) { Content = method == "GET" ? null : new ByteArrayContent([]) { Headers = { ContentType = new("application/grpc") } }, Version = new Version(2, 0), VersionPolicy = HttpVersionPolicy.RequestVersionExact };
            using var answer = await AnswerAsync(nobody, request);
            var unauthenticated = answer.Headers.TryGetValues("grpc-status", out var status) && status.Single() == "16";
            var toLogin = answer.StatusCode == HttpStatusCode.Redirect && answer.Headers.Location!.AbsolutePath == AccountPaths.LoginPage;
            Assert.True(answer.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Unauthorized || toLogin || unauthenticated, $"{method} {path} answered {(int)answer.StatusCode} to nobody.");
        }
    }

    private static async Task<HttpResponseMessage> AnswerAsync(HttpClient client, HttpRequestMessage request)
    {
        try
        {
            return await client.SendAsync(request, TestContext.Current.CancellationToken);
        }
        catch (HttpRequestException e)
        {
            throw new InvalidOperationException($"{request.Method} {request.RequestUri} got no answer.", e);
        }
    }

    [Fact]
    public async Task A_wrong_expired_or_revoked_token_is_no_login()
    {
        using (var wrong = host.Client("exat_wrong"))
        using (var answer = await wrong.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        var tokens = host.Services.GetRequiredService<IApiTokens>();
        var revoked = await tokens.CreateAsync(new CreateApiTokenRequest("revoked"), TestHost.By, CancellationToken.None);
        using var client = host.Client(revoked.Token);
        using (var answer = await client.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await tokens.RevokeAsync(revoked.Id, TestHost.By, CancellationToken.None);
        using (var answer = await client.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        var expiring = await tokens.CreateAsync(new CreateApiTokenRequest("expiring", 1), TestHost.By, CancellationToken.None);
        host.Clock.Advance(TimeSpan.FromDays(1.1));
        using var late = host.Client(expiring.Token);
        using (var answer = await late.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
    }

    [Fact]
    public async Task A_secret_is_kept_as_a_hash_only()
    {
        var made = await host.Services.GetRequiredService<IApiTokens>().CreateAsync(new CreateApiTokenRequest("hashed"), TestHost.By, CancellationToken.None);
        await using var db = host.Database();
        var row = db.ApiTokens.Single(t => t.Id == made.Id);
        Assert.Equal(Secret.Hash(made.Token), row.Hash);
        Assert.DoesNotContain(made.Token[Secret.ShownCharacters..], JsonSerializer.Serialize(row), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_person_signs_in_by_a_form_and_out_again()
    {
        var password = await PasswordAsync();
        using var browser = Browser(out var cookies);
        using (var wrong = await FormAsync(browser, AccountPaths.SignIn, ("user", "admin"), ("password", "wrong"), ("returnUrl", "/hosts")))
        {
            Assert.Equal(HttpStatusCode.SeeOther, wrong.StatusCode);
            Assert.Equal("/login?failed=password&returnUrl=%2Fhosts", wrong.Headers.Location?.ToString());
        }
        using (var right = await FormAsync(browser, AccountPaths.SignIn, ("user", "admin"), ("password", password), ("returnUrl", "/hosts")))
            Assert.Equal("/hosts", right.Headers.Location?.ToString());
        var cookie = cookies.GetAllCookies().Single(c => c.Name == "exitless");
        Assert.True(cookie is { HttpOnly: true, Secure: true });
        using (var answer = await browser.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using (var answer = await browser.GetAsync(new Uri("/reference/", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using (var gone = await FormAsync(browser, AccountPaths.SignOut))
            Assert.Equal("/login", gone.Headers.Location?.ToString());
        using (var answer = await browser.GetAsync(new Uri("/api/v1/hosts", UriKind.Relative), TestContext.Current.CancellationToken))
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
    }

    [Theory]
    [InlineData("https://evil.example/")]
    [InlineData("//evil.example/")]
    [InlineData("/\\evil.example/")]
    public async Task Signing_in_leads_back_into_this_site_only(string elsewhere)
    {
        var password = await PasswordAsync();
        using var browser = Browser(out _);
        using var answer = await FormAsync(browser, AccountPaths.SignIn, ("user", "admin"), ("password", password), ("returnUrl", elsewhere));
        Assert.Equal("/", answer.Headers.Location?.ToString());
    }

    [Fact]
    public async Task A_form_without_the_antiforgery_token_is_refused()
    {
        var password = await PasswordAsync();
        using var browser = Browser(out var cookies);
        using var content = new FormUrlEncodedContent([new("user", "admin"), new("password", password)]);
        using var answer = await browser.PostAsync(new Uri(AccountPaths.SignIn, UriKind.Relative), content, TestContext.Current.CancellationToken);
        Assert.True(answer.StatusCode == HttpStatusCode.BadRequest, $"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)}");
        Assert.DoesNotContain(cookies.GetAllCookies(), c => c.Name == "exitless");
    }

    [Fact]
    public async Task A_new_password_ends_the_old_ones()
    {
        var before = await PasswordAsync();
        var after = await PasswordAsync();
        Assert.NotEqual(before, after);
        using var browser = Browser(out _);
        using var answer = await FormAsync(browser, AccountPaths.SignIn, ("user", "admin"), ("password", before));
        Assert.StartsWith("/login?failed=password", answer.Headers.Location?.ToString(), StringComparison.Ordinal);
    }

    private async Task<string> PasswordAsync()
    {
        await using var scope = host.Services.CreateAsyncScope();
        return (await scope.ServiceProvider.GetRequiredService<People>().ResetPasswordAsync(People.Administrator))!;
    }

    private HttpClient Browser(out CookieContainer cookies)
    {
        var handler = host.Handler();
        handler.CookieContainer = cookies = new CookieContainer();
        return new HttpClient(handler) { BaseAddress = host.Address };
    }

    /// <summary>Posts a form as the login page does, with the antiforgery pair that the page would carry.</summary>
    private async Task<HttpResponseMessage> FormAsync(HttpClient browser, string path, params (string Name, string Value)[] fields)
    {
        var antiforgery = host.Services.GetRequiredService<IAntiforgery>();
        var context = new Microsoft.AspNetCore.Http.DefaultHttpContext { RequestServices = host.Services };
        context.Request.Scheme = "https";
        if (path == AccountPaths.SignOut)
        {
            // The pair is bound to the person it was made for.
            await using var db = host.Database();
            var person = db.Users.Single(u => u.UserName == People.Administrator);
            context.User = new System.Security.Claims.ClaimsPrincipal(new System.Security.Claims.ClaimsIdentity([new(System.Security.Claims.ClaimTypes.NameIdentifier, person.Id.ToString())], "test"));
        }
        var pair = antiforgery.GetTokens(context);
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent([.. fields.Select(f => new KeyValuePair<string, string>(f.Name, f.Value)), new(pair.FormFieldName, pair.RequestToken)]) };
        var options = host.Services.GetRequiredService<Microsoft.Extensions.Options.IOptions<AntiforgeryOptions>>().Value;
        request.Headers.Add("Cookie", $"{options.Cookie.Name}={pair.CookieToken}");
        return await browser.SendAsync(request);
    }

    private static string Fill(RoutePattern pattern) => "/" + string.Join('/', pattern.PathSegments.Select(s => string.Concat(s.Parts.Select(p => p switch
    {
        RoutePatternLiteralPart literal => literal.Content,
        RoutePatternSeparatorPart separator => separator.Content,
        RoutePatternParameterPart { Name: "address" } => Inventories.Pf,
        RoutePatternParameterPart { Name: "documentName" } => "v1",
        RoutePatternParameterPart parameter => parameter.ParameterPolicies.Any(c => c.Content == "guid") ? "00000000-0000-0000-0000-000000000001" : "x",
        _ => "",
    }))));
}
