using System.Text.Json;
using System.Text.Json.Nodes;
using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Projects;
using Exitless.ControlPlane.Rest;
using Exitless.ControlPlane.Vms;
using Exitless.ControlPlane.Webhooks;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;

namespace Exitless.ControlPlane.Audit;

/// <summary>Writes down what a transaction is about to change, member by member, in that transaction. What hosts report is no change that somebody made; secrets and their hashes are told of as changed, not shown.</summary>
internal static class AuditTrail
{
    private static readonly Dictionary<Type, Watched> Kinds = new()
    {
        [typeof(VmRow)] = Watch<VmRow>("vm", v => (v.Id.ToString("D"), v.Name, v.ProjectId),
            nameof(VmRow.Name), nameof(VmRow.HostId), nameof(VmRow.ProjectId), nameof(VmRow.Vcpus), nameof(VmRow.MemoryMib), nameof(VmRow.Kernel), nameof(VmRow.Initrd), nameof(VmRow.CommandLine),
            nameof(VmRow.StopSeconds), nameof(VmRow.Interrupts), nameof(VmRow.GuestCounts), nameof(VmRow.Desired), nameof(VmRow.Deleting), nameof(VmRow.Switches)),
        [typeof(VmDeviceRow)] = Watch<VmDeviceRow>("vm-device", d => ($"{d.VmId:D}/{d.Address}", d.Address, null), nameof(VmDeviceRow.HostId), nameof(VmDeviceRow.VmId), nameof(VmDeviceRow.Mac)),
        [typeof(PfRow)] = Watch<PfRow>("pf", p => ($"{p.HostId:D}/{p.Address}", p.Address, null), nameof(PfRow.NumVfs)),
        [typeof(HostRow)] = Watch<HostRow>("host", h => (h.Id.ToString("D"), h.Name, null), nameof(HostRow.RevokedAt)),
        [typeof(ProjectRow)] = Watch<ProjectRow>("project", p => (p.Id.ToString("D"), p.Name, p.Id), nameof(ProjectRow.Name), nameof(ProjectRow.MostVms), nameof(ProjectRow.MostVcpus), nameof(ProjectRow.MostMemoryMib), nameof(ProjectRow.MostVfs)),
        [typeof(GrantRow)] = Watch<GrantRow>("grant", g => (g.Id.ToString("D"), g.SubjectId.ToString("D"), g.ProjectId), nameof(GrantRow.SubjectId), nameof(GrantRow.ProjectId), nameof(GrantRow.Role)),
        [typeof(Person)] = Watch<Person>("person", p => (p.Id.ToString("D"), p.UserName ?? "", null), nameof(Person.UserName), nameof(Person.PasswordHash), nameof(Person.SecurityStamp)),
        [typeof(ApiTokenRow)] = Watch<ApiTokenRow>("api-token", t => (t.Id.ToString("D"), t.Name, null), nameof(ApiTokenRow.Name), nameof(ApiTokenRow.ExpiresAt)),
        [typeof(EnrolmentTokenRow)] = Watch<EnrolmentTokenRow>("enrolment-token", t => (t.Id.ToString("D"), t.Label ?? "", null), nameof(EnrolmentTokenRow.Label), nameof(EnrolmentTokenRow.ExpiresAt)),
        [typeof(WebhookRow)] = Watch<WebhookRow>("webhook", w => (w.Id.ToString("D"), w.Name, null), nameof(WebhookRow.Name), nameof(WebhookRow.Url), nameof(WebhookRow.Kinds)),
        [typeof(OperationRow)] = Watch<OperationRow>("operation", o => (o.Id.ToString("D"), OperationView.Title(o), o.ProjectId), nameof(OperationRow.State)),
    };

    private static readonly HashSet<string> Secrets = [nameof(Person.PasswordHash), nameof(Person.SecurityStamp)];

    /// <summary>Adds to the transaction what it changes in somebody's name; nothing when the control plane acts by itself.</summary>
    public static void Write(ControlPlaneContext db, Changes changes)
    {
        if (changes.By is not { } by || by == Actor.ControlPlane)
            return;
        foreach (var entry in db.ChangeTracker.Entries().Where(e => e.State is EntityState.Added or EntityState.Modified or EntityState.Deleted).ToList())
        {
            // A new operation is how a change is brought about, and no change by itself.
            if (!Kinds.TryGetValue(entry.Metadata.ClrType, out var watched) || (entry is { Entity: OperationRow, State: EntityState.Added }))
                continue;
            var members = watched.Members.Select(m => entry.Property(m)).Where(p => entry.State != EntityState.Modified || !Same(p)).ToList();
            if (members.Count == 0)
                continue;
            var (id, name, project) = watched.Name(entry.Entity);
            db.Audit.Add(new AuditRow
            {
                Id = changes.NewId(),
                Time = changes.Now,
                Actor = by.Name,
                ActorId = by.Id,
                Action = entry.State switch { EntityState.Added => AuditAction.Created, EntityState.Deleted => AuditAction.Deleted, _ => AuditAction.Changed },
                Kind = watched.Kind,
                ThingId = id,
                ThingName = name,
                ProjectId = project,
                Before = entry.State == EntityState.Added ? null : Shown(members, p => p.OriginalValue),
                After = entry.State == EntityState.Deleted ? null : Shown(members, p => p.CurrentValue),
            });
        }
    }

    private static bool Same(PropertyEntry property) => JsonNode.DeepEquals(Json(property.OriginalValue), Json(property.CurrentValue));

    private static JsonObject Shown(IEnumerable<PropertyEntry> members, Func<PropertyEntry, object?> value) =>
        new(members.Select(p => KeyValuePair.Create(JsonNamingPolicy.CamelCase.ConvertName(p.Metadata.Name), Secrets.Contains(p.Metadata.Name) ? JsonValue.Create("not shown") : Json(value(p)))));

    private static JsonNode? Json(object? value) => value is null ? null : JsonSerializer.SerializeToNode(value, value.GetType(), JsonFormat.Options);

    private static Watched Watch<T>(string kind, Func<T, (string Id, string Name, Guid? Project)> name, params string[] members) => new(kind, o => name((T)o), members);

    private sealed record Watched(string Kind, Func<object, (string Id, string Name, Guid? Project)> Name, IReadOnlyList<string> Members);
}
