using System.Security.Cryptography;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Identity;
using Grpc.Core;
using Microsoft.AspNetCore.Authorization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;

namespace Exitless.ControlPlane.Link;

/// <summary>Turns a one-time token into a host with a certificate. All of it happens in one transaction: a refused request leaves the token as it was.</summary>
[AllowAnonymous]
internal sealed partial class EnrolmentService(ChangeRunner runner, CertificateAuthority authority, LinkRegistry links, ILogger<EnrolmentService> logger) : Enrolment.EnrolmentBase
{
    private const int LongestName = 253;
    private const int LargestRequest = 16 * 1024;

    public override Task<AuthorityReply> Authority(AuthorityRequest request, ServerCallContext context) =>
        Task.FromResult(new AuthorityReply { AuthorityPem = authority.Certificate.ExportCertificatePem() });

    public override async Task<EnrolReply> Enrol(EnrolRequest request, ServerCallContext context)
    {
        if (request.HostName.Length is 0 or > LongestName)
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"The host name has {request.HostName.Length} characters; 1 to {LongestName} are allowed."));
        if (request.SigningRequest.Length is 0 or > LargestRequest)
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"The signing request has {request.SigningRequest.Length} bytes; a PKCS#10 request in DER of at most {LargestRequest} is expected."));
        var (reply, replaced) = await runner.RunAsync((db, changes) => EnrolAsync(db, changes, request, context.CancellationToken), context.CancellationToken);
        LogEnrolled(logger, request.HostName, reply.HostId, replaced);
        return reply;
    }

    private async Task<(EnrolReply Reply, bool Replaced)> EnrolAsync(ControlPlaneContext db, Changes changes, EnrolRequest request, CancellationToken ct)
    {
        var hash = Secret.Hash(request.Token);
        var token = (await db.EnrolmentTokens.FromSql($"SELECT * FROM enrolment_tokens WHERE hash = {hash} FOR UPDATE").ToListAsync(ct)).SingleOrDefault()
            ?? throw Refused("The enrolment token is unknown. Copy it whole, or make a new one in the settings.");
        if (token.UsedAt is { } used)
            throw Refused($"The enrolment token was used at {used:u}; each is good for one host. Make a new one in the settings.");
        if (token.ExpiresAt <= changes.Now)
            throw Refused($"The enrolment token expired at {token.ExpiresAt:u}. Make a new one in the settings.");

        // The same machine under the same name is the same host: its VMs and its wanted VFs are waiting for it.
        var host = IsIdentity(request.MachineId)
            ? await db.Hosts.FromSql($"SELECT * FROM hosts WHERE machine_id = {request.MachineId} AND name = {request.HostName} ORDER BY id DESC LIMIT 1 FOR UPDATE").AsTracking().ToListAsync(ct) is [var known] ? known : null
            : null;
        var replaced = host is not null;
        if (host is not null)
        {
            if (links.Find(host.Id) is not null)
                throw new RpcException(new Status(StatusCode.AlreadyExists, $"A host '{host.Name}' with this machine id is connected now. Stop its agent first, or give this machine a machine id and a name of its own."));
            await db.AgentCertificates.Where(c => c.HostId == host.Id && c.RevokedAt == null).ExecuteUpdateAsync(s => s.SetProperty(c => c.RevokedAt, changes.Now), ct);
            host.RevokedAt = null;
            host.EnrolledAt = changes.Now;
            host.AgentVersion = request.AgentVersion;
        }
        else
        {
            host = new HostRow { Id = changes.NewId(), Name = request.HostName, MachineId = request.MachineId, AgentVersion = request.AgentVersion, EnrolledAt = changes.Now };
            db.Hosts.Add(host);
        }
        var reply = Issue(db, host.Id, request.SigningRequest.ToByteArray());
        token.UsedAt = changes.Now;
        token.UsedByHostId = host.Id;
        changes.Announce(ChangeKind.Host, host.Id);
        changes.Announce(ChangeKind.EnrolmentToken, token.Id);
        changes.Tell(db, "host-enrolled", EventSeverity.Info, replaced ? $"{host.Name} enrolled again; its earlier certificates are revoked." : $"{host.Name} enrolled.", (host.Id, host.Name), by: new Actor(token.CreatedBy));
        return (reply, replaced);
    }

    /// <summary>Signs and records a certificate for a host.</summary>
    public EnrolReply Issue(ControlPlaneContext db, Guid hostId, byte[] signingRequest)
    {
        try
        {
            using var certificate = authority.IssueAgent(signingRequest, hostId);
            var notAfter = new DateTimeOffset(certificate.NotAfter.ToUniversalTime());
            db.AgentCertificates.Add(new AgentCertificateRow
            {
                Serial = certificate.SerialNumber,
                HostId = hostId,
                NotBefore = new DateTimeOffset(certificate.NotBefore.ToUniversalTime()),
                NotAfter = notAfter,
            });
            return new EnrolReply
            {
                HostId = hostId.ToString("D"),
                CertificatePem = certificate.ExportCertificatePem(),
                AuthorityPem = authority.Certificate.ExportCertificatePem(),
                NotAfter = notAfter.ToUnixTimeMilliseconds(),
            };
        }
        catch (CryptographicException e)
        {
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"The signing request cannot be used: {e.Message} A PKCS#10 request in DER with an ECDSA P-256 key is expected."));
        }
    }

    /// <summary>Images and firmware without an identity of their own say nothing, zeros or ones.</summary>
    private static bool IsIdentity(string machineId) => machineId.Any(c => char.IsAsciiHexDigit(c) && c is not ('0' or 'f' or 'F'));

    private static RpcException Refused(string words) => new(new Status(StatusCode.Unauthenticated, words));

    [LoggerMessage(1201, LogLevel.Information, "Host {HostName} enrolled as {HostId} (again: {Replaced}).")]
    private static partial void LogEnrolled(ILogger logger, string hostName, string hostId, bool replaced);
}
