using System.Security.Claims;
using System.Security.Cryptography.X509Certificates;
using System.Text.Encodings.Web;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Database;
using Grpc.Core;
using Microsoft.AspNetCore.Authentication;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Link;

/// <summary>
/// Who an agent is: its client certificate, issued by this control plane, in time, known to the database and not revoked. TLS itself lets every
/// certificate pass, so that a refused agent reads why in its gRPC status instead of a broken handshake.
/// </summary>
internal sealed class AgentCertificateHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory loggers, UrlEncoder encoder, CertificateAuthority authority, IDbContextFactory<ControlPlaneContext> contexts)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, loggers, encoder)
{
    public const string SchemeName = "AgentCertificate";
    public const string Policy = "agent";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (Context.Connection.ClientCertificate is not { } certificate)
            return AuthenticateResult.Fail("The link needs the client certificate that enrolment gives. Enrol this host with a token first.");
        if (authority.Refuse(certificate) is { } reason)
            return AuthenticateResult.Fail(reason);
        await using var db = await contexts.CreateDbContextAsync(Context.RequestAborted);
        var row = await db.AgentCertificates.AsNoTracking().SingleOrDefaultAsync(c => c.Serial == certificate.SerialNumber, Context.RequestAborted);
        row ??= await RenewedSinceBackupAsync(db, certificate, Context.RequestAborted);
        if (row is null)
            return AuthenticateResult.Fail("The control plane does not know this certificate; its database may have been replaced. Enrol the host again with a new token.");
        if (row.RevokedAt is { } revoked)
            return AuthenticateResult.Fail($"This certificate was revoked at {revoked:u}. Enrol the host again with a new token if it shall come back.");
        var identity = new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, row.HostId.ToString("D")), new Claim(ClaimTypes.SerialNumber, row.Serial)], SchemeName);
        return AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), SchemeName));
    }

    /// <summary>A certificate of our own that a restored database has not heard of yet: renewals since the backup are in none. It is taken up, for a host that is to recover only.</summary>
    private static async Task<AgentCertificateRow?> RenewedSinceBackupAsync(ControlPlaneContext db, X509Certificate2 certificate, CancellationToken ct)
    {
        if (!Guid.TryParse(certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false), out var id) || !await db.Hosts.AnyAsync(h => h.Id == id && h.Recovering && h.RevokedAt == null, ct))
            return null;
        var row = new AgentCertificateRow { Serial = certificate.SerialNumber, HostId = id, NotBefore = new DateTimeOffset(certificate.NotBefore.ToUniversalTime()), NotAfter = new DateTimeOffset(certificate.NotAfter.ToUniversalTime()) };
        db.AgentCertificates.Add(row);
        try
        {
            await db.SaveChangesAsync(ct);
        }
        catch (DbUpdateException)
        {
            // Another link of the host took it up at the same moment.
        }
        return row;
    }

    /// <summary>A gRPC answer of headers only ("Trailers-Only" in the gRPC over HTTP/2 protocol), so that the words arrive.</summary>
    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        var result = await HandleAuthenticateOnceSafeAsync();
        Response.StatusCode = 200;
        Response.ContentType = "application/grpc";
        Response.Headers["grpc-status"] = ((int)StatusCode.Unauthenticated).ToString();
        Response.Headers["grpc-message"] = Uri.EscapeDataString(result.Failure?.Message ?? "No client certificate.");
    }
}
