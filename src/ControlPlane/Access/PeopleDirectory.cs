using System.Text.RegularExpressions;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Identity;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Access;

/// <inheritdoc />
internal sealed partial class PeopleDirectory(ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts, TimeProvider time) : IPeopleDirectory
{
    private const int MostGrants = 1000;

    private static readonly PasswordHasher<Person> Hasher = new();

    public async Task<IReadOnlyList<PersonDto>> ListAsync(CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        var grants = (await db.Grants.AsNoTracking().ToListAsync(ct)).ToLookup(g => g.SubjectId);
        return [.. (await db.Users.AsNoTracking().OrderBy(p => p.UserName).ToListAsync(ct)).Select(p => ToDto(p, grants[p.Id]))];
    }

    public async Task<IReadOnlyList<GrantDto>> GrantsAsync(Guid subject, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return (await Rights.OfAsync(db, subject, ct)).Grants;
    }

    public async Task<PersonDto> GetAsync(Guid personId, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        return await GetAsync(db, personId, ct);
    }

    internal async Task<PersonDto> GetAsync(ControlPlaneContext db, Guid personId, CancellationToken ct)
    {
        var person = await db.Users.AsNoTracking().SingleOrDefaultAsync(p => p.Id == personId, ct) ?? throw ProblemException.NotFound("Person", personId);
        return ToDto(person, await db.Grants.AsNoTracking().Where(g => g.SubjectId == personId).ToListAsync(ct));
    }

    public Task<NewPasswordDto> CreateAsync(CreatePersonRequest request, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
        var mistakes = new Mistakes();
        if (!Name().IsMatch(request.Name))
            mistakes.Add("name", $"'{request.Name}' is no name to sign in with: 1 to 64 letters, digits, dots, hyphens and underscores.");
        await CheckAsync(db, request.Grants, mistakes, ct);
        mistakes.Throw("person-invalid", "The person cannot be made.");
        var normal = request.Name.ToUpperInvariant();
        if (await db.Users.AnyAsync(p => p.NormalizedUserName == normal, ct))
            throw ProblemException.ForField(ProblemKind.Conflict, "person-name-taken", "The name is taken.", "name", $"There is a person named '{request.Name}'.", "Choose another name.");
        var person = new Person { Id = changes.NewId(), UserName = request.Name, NormalizedUserName = normal, LockoutEnabled = true };
        var password = Give(person);
        db.Users.Add(person);
        Grant(db, changes, person.Id, request.Grants);
        changes.Announce(ChangeKind.Person, person.Id);
        changes.Tell(db, "person-created", EventSeverity.Info, $"{by.Name} made the person {person.UserName}.", by: by);
        return new NewPasswordDto(person.Id, request.Name, password);
    }, ct);

    public async Task<PersonDto> SetGrantsAsync(Guid personId, SetGrantsRequest request, Actor by, CancellationToken ct)
    {
        await runner.RunAsync(async (db, changes) =>
        {
            var person = await LockAsync(db, changes, personId, by, ct);
            var mistakes = new Mistakes();
            await CheckAsync(db, request.Grants, mistakes, ct);
            mistakes.Throw("grants-invalid", "The roles cannot be set.");
            if (!request.Grants.Any(g => g is { Role: Role.Admin, ProjectId: null }))
                await KeepOneAdminAsync(db, person, ct);
            var before = await db.Grants.Where(g => g.SubjectId == personId).ToListAsync(ct);
            // Those that stay are left alone, so that the audit log tells only of what changed.
            var kept = before.Where(b => request.Grants.Any(g => g.ProjectId == b.ProjectId)).ToList();
            foreach (var grant in kept)
                grant.Role = request.Grants.Single(g => g.ProjectId == grant.ProjectId).Role;
            db.Grants.RemoveRange(before.Except(kept));
            Grant(db, changes, personId, request.Grants.Where(g => kept.TrueForAll(k => k.ProjectId != g.ProjectId)));
            changes.Announce(ChangeKind.Person, person.Id);
            changes.Tell(db, "grants-changed", EventSeverity.Info, $"{by.Name} set what {person.UserName} may do.", by: by);
        }, ct);
        return await GetAsync(personId, ct);
    }

    public Task<NewPasswordDto> ResetPasswordAsync(Guid personId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        var person = await LockAsync(db, changes, personId, by, ct);
        var password = Give(person);
        (person.LockoutEnd, person.AccessFailedCount) = (null, 0);
        changes.Announce(ChangeKind.Person, person.Id);
        changes.Tell(db, "password-reset", EventSeverity.Info, $"{by.Name} gave {person.UserName} a new password.", by: by);
        return new NewPasswordDto(person.Id, person.UserName!, password);
    }, ct);

    public async Task<PersonDto> EndSessionsAsync(Guid personId, Actor by, CancellationToken ct)
    {
        await runner.RunAsync(async (db, changes) =>
        {
            var person = await LockAsync(db, changes, personId, by, ct);
            person.SecurityStamp = Secret.Make("");
            changes.Announce(ChangeKind.Person, person.Id);
            changes.Tell(db, "sessions-ended", EventSeverity.Info, $"{by.Name} ended the sessions of {person.UserName}.", by: by);
        }, ct);
        return await GetAsync(personId, ct);
    }

    public Task DeleteAsync(Guid personId, Actor by, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        var person = await LockAsync(db, changes, personId, by, ct);
        await KeepOneAdminAsync(db, person, ct);
        db.Grants.RemoveRange(await db.Grants.Where(g => g.SubjectId == personId).ToListAsync(ct));
        db.Users.Remove(person);
        changes.Announce(ChangeKind.Person, person.Id);
        changes.Tell(db, "person-deleted", EventSeverity.Info, $"{by.Name} removed the person {person.UserName}.", by: by);
    }, ct);

    /// <summary>Adds roles; the caller has checked them.</summary>
    internal static void Grant(ControlPlaneContext db, Changes changes, Guid subject, IEnumerable<GrantDto> grants) =>
        db.Grants.AddRange(grants.Select(g => new GrantRow { Id = changes.NewId(), SubjectId = subject, ProjectId = g.ProjectId, Role = g.Role }));

    private static async Task<Person> LockAsync(ControlPlaneContext db, Changes changes, Guid personId, Actor by, CancellationToken ct)
    {
        await Rights.DemandAsync(db, changes, by, Role.Admin, null, ct);
        return (await db.Users.FromSql($"SELECT * FROM people WHERE id = {personId} FOR UPDATE").ToListAsync(ct)).SingleOrDefault() ?? throw ProblemException.NotFound("Person", personId);
    }

    private static async Task CheckAsync(ControlPlaneContext db, IReadOnlyList<GrantDto> grants, Mistakes mistakes, CancellationToken ct)
    {
        if (grants.Count > MostGrants)
        {
            mistakes.Add("grants", $"{grants.Count} roles are more than {MostGrants}.");
            return;
        }
        var projects = await db.Projects.Select(p => p.Id).ToListAsync(ct);
        for (var i = 0; i < grants.Count; i++)
        {
            if (grants[i] is not { } grant)
                mistakes.Add($"grants[{i}]", "null is no role.");
            else if (grant.ProjectId is { } id && !projects.Contains(id))
                mistakes.Add(ProblemKind.Invalid, "project-not-found", $"grants[{i}].projectId", $"There is no project '{id}'.", "Take an id from /api/v1/projects, or leave it out for the whole fleet.");
            else if (grants.Take(i).Any(g => g is not null && g.ProjectId == grant.ProjectId))
                mistakes.Add($"grants[{i}].projectId", "There is an earlier role for the same place.", "Name each project, and the fleet, once.");
        }
    }

    private static async Task KeepOneAdminAsync(ControlPlaneContext db, Person person, CancellationToken ct)
    {
        var admins = await db.Grants.FromSql($"SELECT * FROM grants WHERE project_id IS NULL AND role = 'Admin' AND subject_id IN (SELECT id FROM people) FOR UPDATE").Select(g => g.SubjectId).ToListAsync(ct);
        if (admins.Contains(person.Id) && admins.Count == 1)
            throw new ProblemException(ProblemKind.Conflict, "last-admin", "Somebody must be the administrator.", $"{person.UserName} is the only one of the fleet.", "Make another person an administrator of the fleet first.");
    }

    /// <summary>A new password; sessions under the old one end.</summary>
    private static string Give(Person person)
    {
        var password = Secret.Password();
        person.PasswordHash = Hasher.HashPassword(person, password);
        person.SecurityStamp = Secret.Make("");
        return password;
    }

    private PersonDto ToDto(Person person, IEnumerable<GrantRow> grants) =>
        new(person.Id, person.UserName ?? "", [.. grants.OrderBy(g => g.ProjectId is not null).ThenBy(g => g.ProjectId).Select(g => g.ToDto())], person.LockoutEnd > time.GetUtcNow());

    [GeneratedRegex("^[A-Za-z0-9._-]{1,64}$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Name();
}
