using Exitless.ControlPlane.Access;
using Exitless.ControlPlane.Audit;
using Exitless.ControlPlane.Authority;
using Exitless.ControlPlane.Events;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Idempotency;
using Exitless.ControlPlane.Identity;
using Exitless.ControlPlane.Metrics;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Projects;
using Exitless.ControlPlane.Vms;
using Exitless.ControlPlane.Webhooks;
using Microsoft.AspNetCore.DataProtection.EntityFrameworkCore;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;

namespace Exitless.ControlPlane.Database;

/// <summary>The tables. Metric rows are not here: they are written by COPY and read by plain SQL.</summary>
internal sealed class ControlPlaneContext(DbContextOptions<ControlPlaneContext> options) : IdentityUserContext<Person, Guid>(options), IDataProtectionKeyContext
{
    /// <summary>Names of the indexes whose violation is a person's mistake, not a defect.</summary>
    public const string VmNameIndex = "ix_vms_name_unique";
    public const string DeviceOwnerIndex = "ix_vm_devices_one_owner";
    public const string ApiTokenNameIndex = "ix_api_tokens_name_unique";
    public const string WebhookNameIndex = "ix_webhooks_name_unique";
    public const string ProjectNameIndex = "ix_projects_name_unique";

    public DbSet<HostRow> Hosts => Set<HostRow>();

    public DbSet<DeviceRow> Devices => Set<DeviceRow>();

    public DbSet<PfRow> Pfs => Set<PfRow>();

    public DbSet<VmRow> Vms => Set<VmRow>();

    public DbSet<VmDeviceRow> VmDevices => Set<VmDeviceRow>();

    public DbSet<OperationRow> Operations => Set<OperationRow>();

    public DbSet<EventRow> Events => Set<EventRow>();

    public DbSet<EnrolmentTokenRow> EnrolmentTokens => Set<EnrolmentTokenRow>();

    public DbSet<ApiTokenRow> ApiTokens => Set<ApiTokenRow>();

    public DbSet<GrantRow> Grants => Set<GrantRow>();

    public DbSet<ProjectRow> Projects => Set<ProjectRow>();

    public DbSet<AuditRow> Audit => Set<AuditRow>();

    public DbSet<WebhookRow> Webhooks => Set<WebhookRow>();

    public DbSet<IdempotencyRow> IdempotencyKeys => Set<IdempotencyRow>();

    public DbSet<AgentCertificateRow> AgentCertificates => Set<AgentCertificateRow>();

    public DbSet<MetricSchemaRow> MetricSchemas => Set<MetricSchemaRow>();

    public DbSet<DataProtectionKey> DataProtectionKeys => Set<DataProtectionKey>();

    /// <summary>A host, locked until the transaction ends: everything that changes what is wanted or observed of a host takes turns here.</summary>
    public async Task<HostRow?> LockHostAsync(Guid hostId, CancellationToken ct) =>
        (await Hosts.FromSql($"SELECT * FROM hosts WHERE id = {hostId} FOR UPDATE").ToListAsync(ct)).SingleOrDefault();

    protected override void OnModelCreating(ModelBuilder builder)
    {
        base.OnModelCreating(builder);
        builder.Entity<Person>().ToTable("people");
        builder.Entity<IdentityUserClaim<Guid>>().ToTable("people_claims");
        builder.Entity<IdentityUserLogin<Guid>>().ToTable("people_logins");
        builder.Entity<IdentityUserToken<Guid>>().ToTable("people_tokens");
        builder.Entity<DataProtectionKey>().ToTable("data_protection_keys");

        builder.Entity<HostRow>(e =>
        {
            e.HasKey(h => h.Id);
            e.HasIndex(h => new { h.MachineId, h.Name });
            e.Property(h => h.Facts).IsJson();
            e.Property(h => h.Capabilities).IsJson();
            e.Property(h => h.Report).IsJson();
        });
        builder.Entity<DeviceRow>(e =>
        {
            e.HasKey(d => new { d.HostId, d.Address });
            e.HasOne<HostRow>().WithMany().HasForeignKey(d => d.HostId).OnDelete(DeleteBehavior.Cascade);
            e.Property(d => d.Facts).IsJson();
        });
        builder.Entity<PfRow>(e =>
        {
            e.HasKey(p => new { p.HostId, p.Address });
            e.HasOne<HostRow>().WithMany().HasForeignKey(p => p.HostId).OnDelete(DeleteBehavior.Cascade);
            e.Property(p => p.Problem).IsJson();
        });
        builder.Entity<VmRow>(e =>
        {
            e.HasKey(v => v.Id);
            e.HasOne<HostRow>().WithMany().HasForeignKey(v => v.HostId).OnDelete(DeleteBehavior.Restrict);
            e.HasMany(v => v.Devices).WithOne().HasForeignKey(d => d.VmId).OnDelete(DeleteBehavior.Cascade);
            e.HasOne<ProjectRow>().WithMany().HasForeignKey(v => v.ProjectId).OnDelete(DeleteBehavior.Restrict);
            e.HasIndex(v => v.Name).IsUnique().HasDatabaseName(VmNameIndex);
            // Pages are cut by name, here and in the database: both take the ordinal order, whatever the database's own is.
            e.Property(v => v.Name).UseCollation("C");
            e.HasIndex(v => new { v.State, v.Name });
            e.Property(v => v.Desired).HasConversion<string>();
            e.Property(v => v.State).HasConversion<string>();
            e.Property(v => v.Interrupts).HasConversion<string>().HasDefaultValueSql("'Auto'");
            e.Property(v => v.Switches).IsJson().HasDefaultValueSql("'[]'");
            e.Property(v => v.Problem).IsJson();
            e.Property(v => v.Steps).IsJson();
            e.Property(v => v.Locality).IsJson();
        });
        builder.Entity<VmDeviceRow>(e =>
        {
            e.HasKey(d => new { d.VmId, d.Address });
            e.HasIndex(d => new { d.HostId, d.Address }).IsUnique().HasDatabaseName(DeviceOwnerIndex);
        });
        builder.Entity<OperationRow>(e =>
        {
            e.HasKey(o => o.Id);
            e.HasIndex(o => o.HostId).HasFilter("finished_at IS NULL").HasDatabaseName("ix_operations_active");
            e.HasIndex(o => new { o.VmId, o.Id });
            e.HasIndex(o => new { o.HostId, o.Id });
            e.Property(o => o.Kind).HasConversion<string>();
            e.Property(o => o.State).HasConversion<string>();
            e.Property(o => o.PreviousRun).HasConversion<string>();
            e.Property(o => o.PreviousSwitches).IsJson();
            e.Property(o => o.Problem).IsJson();
            e.Property(o => o.Steps).IsJson();
        });
        builder.Entity<EventRow>(e =>
        {
            e.HasKey(x => x.Id);
            e.HasIndex(x => new { x.HostId, x.Id });
            e.HasIndex(x => new { x.VmId, x.Id });
            e.Property(x => x.Place).UseIdentityAlwaysColumn();
            e.HasIndex(x => x.Place).IsUnique();
            e.Property(x => x.Severity).HasConversion<string>();
        });
        builder.Entity<EnrolmentTokenRow>(e =>
        {
            e.HasKey(t => t.Id);
            e.HasIndex(t => t.Hash).IsUnique();
        });
        builder.Entity<ApiTokenRow>(e =>
        {
            e.HasKey(t => t.Id);
            e.HasIndex(t => t.Hash).IsUnique();
            e.HasIndex(t => t.Name).IsUnique().HasDatabaseName(ApiTokenNameIndex);
        });
        builder.Entity<ProjectRow>(e =>
        {
            e.HasKey(p => p.Id);
            e.HasIndex(p => p.Name).IsUnique().HasDatabaseName(ProjectNameIndex);
        });
        builder.Entity<GrantRow>(e =>
        {
            e.HasKey(g => g.Id);
            e.HasOne<ProjectRow>().WithMany().HasForeignKey(g => g.ProjectId).OnDelete(DeleteBehavior.Cascade);
            e.HasIndex(g => new { g.SubjectId, g.ProjectId }).IsUnique().AreNullsDistinct(false);
            e.Property(g => g.Role).HasConversion<string>();
        });
        builder.Entity<AuditRow>(e =>
        {
            e.HasKey(a => a.Id);
            e.HasIndex(a => new { a.Kind, a.ThingId, a.Id });
            e.Property(a => a.Action).HasConversion<string>();
            e.Property(a => a.Before).IsJson();
            e.Property(a => a.After).IsJson();
        });
        builder.Entity<WebhookRow>(e =>
        {
            e.HasKey(w => w.Id);
            e.HasIndex(w => w.Name).IsUnique().HasDatabaseName(WebhookNameIndex);
            e.Property(w => w.Kinds).IsJson();
        });
        builder.Entity<IdempotencyRow>(e =>
        {
            e.HasKey(k => new { k.Caller, k.KeyHash });
            e.HasIndex(k => k.CreatedAt);
        });
        builder.Entity<AgentCertificateRow>(e =>
        {
            e.HasKey(c => c.Serial);
            e.HasOne<HostRow>().WithMany().HasForeignKey(c => c.HostId).OnDelete(DeleteBehavior.Cascade);
        });
        builder.Entity<MetricSchemaRow>(e =>
        {
            e.HasKey(s => s.Id);
            e.HasIndex(s => new { s.VmId, s.Hash }).IsUnique();
            e.Property(s => s.Series).IsJson();
        });
    }
}
