using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Exitless.ControlPlane.Identity;

/// <inheritdoc />
internal sealed class ApiTokens(ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time) : IApiTokens
{
    private const int LongestName = 100;
    private const int LongestDays = 3650;

    public async Task<CreatedApiTokenDto> CreateAsync(CreateApiTokenRequest request, Actor by, CancellationToken ct)
    {
        var name = request.Name.Trim();
        var mistakes = new Mistakes();
        if (name.Length is 0 or > LongestName)
            mistakes.Add("name", $"The name has {name.Length} characters; 1 to {LongestName} are allowed.");
        if (name.Any(char.IsControl))
            mistakes.Add("name", "The name holds control characters.");
        if (request.Days is < 1 or > LongestDays)
            mistakes.Add("days", $"{request.Days} days is not between 1 and {LongestDays}.");
        mistakes.Throw("api-token-invalid", "The API token cannot be made.");
        try
        {
            return await runner.RunAsync(async (db, changes) =>
            {
                await Rights.DemandAsync(db, changes, by, Role.Admin, request.ProjectId, ct);
                if (request.ProjectId is { } project && !await db.Projects.AnyAsync(p => p.Id == project, ct))
                    throw ProblemException.ForField(ProblemKind.Invalid, "project-not-found", "The API token cannot be made.", "projectId", $"There is no project '{project}'.", "Take an id from /api/v1/projects.");
                // An ended token keeps its name from nobody.
                foreach (var ended in await db.ApiTokens.Where(t => t.Name == name && t.ExpiresAt < changes.Now).ToListAsync(ct))
                    await RemoveAsync(db, ended, ct);
                await db.SaveChangesAsync(ct);
                var secret = Secret.Make(Secret.ApiPrefix);
                var row = new ApiTokenRow
                {
                    Id = changes.NewId(),
                    Name = name,
                    Prefix = secret[..Secret.ShownCharacters],
                    Hash = Secret.Hash(secret),
                    CreatedAt = changes.Now,
                    CreatedBy = by.Name,
                    ExpiresAt = request.Days is { } days ? changes.Now.AddDays(days) : null,
                };
                db.ApiTokens.Add(row);
                PeopleDirectory.Grant(db, changes, row.Id, [new GrantDto(request.Role, request.ProjectId)]);
                changes.Tell(db, "api-token-created", EventSeverity.Info, $"The API token '{name}' was made.", by: by);
                changes.Announce(ChangeKind.ApiToken, row.Id);
                return new CreatedApiTokenDto(row.Id, name, secret, row.ExpiresAt);
            }, ct);
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException { ConstraintName: ControlPlaneContext.ApiTokenNameIndex })
        {
            throw ProblemException.ForField(ProblemKind.Conflict, "api-token-name-taken", "The name is taken.", "name", $"There is an API token named '{name}'.", "Choose another name, or revoke that token first.");
        }
    }

    public async Task<IReadOnlyList<ApiTokenDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await Shown(db, db.ApiTokens).ToListAsync(ct);
    }

    internal static async Task<ApiTokenDto> GetAsync(ControlPlaneContext db, Guid tokenId, CancellationToken ct) =>
        await Shown(db, db.ApiTokens.Where(t => t.Id == tokenId)).SingleOrDefaultAsync(ct) ?? throw ProblemException.NotFound("API token", tokenId);

    private static IQueryable<ApiTokenDto> Shown(ControlPlaneContext db, IQueryable<ApiTokenRow> tokens) =>
        from t in tokens.AsNoTracking()
        join g in db.Grants on t.Id equals g.SubjectId
        orderby t.Name
        select new ApiTokenDto(t.Id, t.Name, t.Prefix, t.CreatedAt, t.CreatedBy, t.ExpiresAt, t.LastUsedAt, g.Role, g.ProjectId);

    private static async Task RemoveAsync(ControlPlaneContext db, ApiTokenRow token, CancellationToken ct)
    {
        db.Grants.RemoveRange(await db.Grants.Where(g => g.SubjectId == token.Id).ToListAsync(ct));
        db.ApiTokens.Remove(token);
    }

    public Task RevokeAsync(Guid tokenId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        var token = await db.ApiTokens.SingleOrDefaultAsync(t => t.Id == tokenId, ct) ?? throw ProblemException.NotFound("API token", tokenId);
        await Rights.DemandAsync(db, changes, by, Role.Admin, await db.Grants.Where(g => g.SubjectId == tokenId).Select(g => g.ProjectId).FirstOrDefaultAsync(ct), ct);
        await RemoveAsync(db, token, ct);
        changes.Tell(db, "api-token-revoked", EventSeverity.Info, $"The API token '{token.Name}' was revoked.", by: by);
        changes.Announce(ChangeKind.ApiToken, tokenId);
    }, ct);

    /// <summary>The token behind a secret, if it is valid; notes its use, once a minute at most.</summary>
    public async Task<ApiTokenRow?> FindAsync(string secret, CancellationToken ct)
    {
        if (!secret.StartsWith(Secret.ApiPrefix, StringComparison.Ordinal))
            return null;
        var hash = Secret.Hash(secret);
        var now = time.GetUtcNow();
        await using var db = await contexts.CreateDbContextAsync(ct);
        var token = await db.ApiTokens.AsNoTracking().SingleOrDefaultAsync(t => t.Hash == hash, ct);
        if (token is null || token.ExpiresAt <= now)
            return null;
        if (token.LastUsedAt is null || now - token.LastUsedAt > TimeSpan.FromMinutes(1))
            await db.ApiTokens.Where(t => t.Id == token.Id).ExecuteUpdateAsync(s => s.SetProperty(t => t.LastUsedAt, now), ct);
        return token;
    }
}
