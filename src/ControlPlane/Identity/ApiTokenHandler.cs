using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Identity;

/// <summary><c>Authorization: Bearer exat_…</c>. Hubs also take it as the query's <c>access_token</c>: a browser cannot set a WebSocket's headers.</summary>
internal sealed class ApiTokenHandler(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory loggers, UrlEncoder encoder, ApiTokens tokens)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, loggers, encoder)
{
    public const string SchemeName = "ApiToken";

    private const string Bearer = "Bearer ";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        string? secret = Request.Headers.Authorization;
        if (secret?.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) == true)
            secret = secret[Bearer.Length..].Trim();
        else if (string.IsNullOrEmpty(secret) && Request.Path.StartsWithSegments("/hubs", StringComparison.Ordinal))
            secret = Request.Query["access_token"];
        else
            secret = null;
        if (string.IsNullOrEmpty(secret))
            return AuthenticateResult.NoResult();
        if (await tokens.FindAsync(secret, Context.RequestAborted) is not { } token)
            return AuthenticateResult.Fail("The API token is unknown, revoked or expired.");
        var identity = new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, token.Id.ToString()), new Claim(ClaimTypes.Name, $"token {token.Name}")], SchemeName);
        return AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), SchemeName));
    }
}
