using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Identity;

/// <inheritdoc />
internal sealed class EnrolmentTokens(ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts, CertificateAuthority authority, Ports ports) : IEnrolmentTokens
{
    private const int LongestLabel = 100;
    private const int LongestMinutes = 7 * 24 * 60;

    public Task<CreatedEnrolmentTokenDto> CreateAsync(CreateEnrolmentTokenRequest request, Actor by, CancellationToken ct)
    {
        var label = string.IsNullOrWhiteSpace(request.Label) ? null : request.Label.Trim();
        var mistakes = new Mistakes();
        if (label?.Length > LongestLabel)
            mistakes.Add("label", $"The label has {label.Length} characters; at most {LongestLabel} are allowed.");
        if (label?.Any(char.IsControl) == true)
            mistakes.Add("label", "The label holds control characters.");
        if (request.Minutes is < 1 or > LongestMinutes)
            mistakes.Add("minutes", $"{request.Minutes} minutes is not between 1 and {LongestMinutes} (a week).");
        mistakes.Throw("enrolment-token-invalid", "The enrolment token cannot be made.");
        return runner.RunAsync(async (db, changes) =>
        {
            await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
            var secret = Secret.Make(Secret.EnrolmentPrefix);
            var row = new EnrolmentTokenRow
            {
                Id = changes.NewId(),
                Hash = Secret.Hash(secret),
                Label = label,
                CreatedAt = changes.Now,
                CreatedBy = by.Name,
                ExpiresAt = changes.Now.AddMinutes(request.Minutes),
            };
            db.EnrolmentTokens.Add(row);
            changes.Tell(db, "enrolment-token-created", EventSeverity.Info, $"An enrolment token{(label is null ? "" : $" for {label}")} was made, good until {row.ExpiresAt:u}.", by: by);
            changes.Announce(ChangeKind.EnrolmentToken, row.Id);
            return new CreatedEnrolmentTokenDto(row.Id, secret, authority.Fingerprint, ports.Agents, row.ExpiresAt);
        }, ct);
    }

    public async Task<IReadOnlyList<EnrolmentTokenDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await Shown(db.EnrolmentTokens.OrderByDescending(t => t.Id)).ToListAsync(ct);
    }

    internal static async Task<EnrolmentTokenDto> GetAsync(ControlPlaneContext db, Guid tokenId, CancellationToken ct) =>
        await Shown(db.EnrolmentTokens.Where(t => t.Id == tokenId)).SingleOrDefaultAsync(ct) ?? throw ProblemException.NotFound("Enrolment token", tokenId);

    private static IQueryable<EnrolmentTokenDto> Shown(IQueryable<EnrolmentTokenRow> tokens) =>
        tokens.AsNoTracking().Select(t => new EnrolmentTokenDto(t.Id, t.Label, t.CreatedAt, t.CreatedBy, t.ExpiresAt, t.UsedAt, t.UsedByHostId));

    public Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
        var token = await db.EnrolmentTokens.SingleOrDefaultAsync(t => t.Id == tokenId, ct) ?? throw ProblemException.NotFound("Enrolment token", tokenId);
        if (token.UsedAt is { } used)
            throw new ProblemException(ProblemKind.Conflict, "enrolment-token-used", "The enrolment token has been used.", $"A host enrolled with it at {used:u}.", "Revoke the host instead.");
        db.EnrolmentTokens.Remove(token);
        changes.Tell(db, "enrolment-token-revoked", EventSeverity.Info, $"An enrolment token{(token.Label is null ? "" : $" for {token.Label}")} was revoked before its use.", by: by);
        changes.Announce(ChangeKind.EnrolmentToken, tokenId);
    }, ct);
}
