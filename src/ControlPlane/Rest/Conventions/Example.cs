using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>The host, the VM and their things that the examples of the description speak of. Whoever replays them puts real ones in their places.</summary>
internal static class Example
{
    public const string HostName = "rack1-node3";
    public const string VmName = "web-1";
    public const string TokenName = "deploy";
    public const string Label = "rack1-node3";
    public const string Pf = "0000:01:00.0";
    public const string Vf = "0000:01:10.0";
    public const string Kernel = "debian.vmlinuz";
    public const string Initrd = "demo.initrd";
    public const string From = "2026-01-31T12:00:00Z";
    public const string To = "2026-01-31T12:01:00Z";
    public const string ProjectName = "web";
    public const string WebhookName = "pager";
    public const string WebhookUrl = "https://pager.example/exitless";
    public const string PersonName = "grace";
    public const string By = "token deploy";

    public static readonly Guid HostId = Guid.Parse("01930000-0000-7000-8000-000000000001");
    public static readonly Guid VmId = Guid.Parse("01930000-0000-7000-8000-000000000002");
    public static readonly Guid OperationId = Guid.Parse("01930000-0000-7000-8000-000000000003");
    public static readonly Guid TokenId = Guid.Parse("01930000-0000-7000-8000-000000000004");
    public static readonly Guid EventId = Guid.Parse("01930000-0000-7000-8000-000000000005");

    public static readonly Guid ProjectId = Guid.Parse("01930000-0000-7000-8000-000000000006");
    public static readonly Guid PersonId = Guid.Parse("01930000-0000-7000-8000-000000000007");
    public static readonly Guid WebhookId = Guid.Parse("01930000-0000-7000-8000-000000000009");
    public static readonly Guid AuditId = Guid.Parse("01930000-0000-7000-8000-000000000008");

    private static readonly DateTimeOffset Noon = new(2026, 1, 31, 12, 0, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset Later = Noon.AddSeconds(4);

    public static HostDto Host { get; } = new(
        HostId, HostName, true, Noon, Noon, null, Noon.AddDays(90), "0.1.0",
        new HostFactsDto("6.12.0", "AuthenticAMD", "AMD EPYC 7763", [0, 1, 2, 3], 4L << 30, [new NumaNodeDto(0, [0, 1, 2, 3], 4L << 30)], [new HugePagePoolDto(0, 2 << 20, 8, 4)], [new ImageDto(Kernel, "kernel", 11_000_000)]),
        [new CapabilityDto("kvm", true, "/dev/kvm opens", null)], 1, 2, 1);

    public static DeviceDto Device { get; } = new(
        HostId, HostName, Pf, DeviceKind.Pf, "82576 Gigabit", "8086", "10c9", "020000", "igb", 2, 0, null, null, 7, 2, null, ["eth1"], "52:54:00:00:00:01", true, null, null, false, null);

    public static CreateVmRequest CreateVm { get; } = new(VmName, HostId, Kernel, Initrd, "console=ttyS0", 2, 512, [new VmDeviceRequest(Vf, "02:00:00:00:00:01")], Start: true, ProjectId: ProjectId);

    public static VmDto Vm { get; } = new(
        VmId, VmName, HostId, HostName, true, 2, 512, Kernel, Initrd, "console=ttyS0", [new VmDeviceDto(Vf, "02:00:00:00:00:01")], 30, DesiredRun.Running, false, 7, VmState.Running, 7, Later, null,
        [new StepDto($"bind {Vf} to vfio-pci", StepState.Done, Noon, Later, null)], 4242, Later, null, Noon, null, InterruptPolicy.Auto, [], false, ProjectId);

    public static ObservedVmDto ObservedVm { get; } = new(
        3131, "guest=legacy", "/usr/bin/qemu-system-x86_64", 1200.5, 800, 1.5, 1.1, [new ObservedVectorDto(Vf, 0, 800, "posted")], Noon);

    public static EventDto Event { get; } = new(EventId, Noon, "vm-created", EventSeverity.Info, $"{By} created VM {VmName}.", HostId, HostName, VmId, VmName, null, By, ProjectId);

    public static FindingDto Finding { get; } = new(
        HostId, HostName, "iommu-posting", null, FindingSeverity.Warning, "The IOMMU does not post interrupts.", [new EvidenceDto("/sys/module/kvm_amd/parameters/avic", "N")], "Load kvm_amd with avic=1.", false, Noon);

    public static LocalityDto Locality { get; } = new(
        [new VectorPlaceDto(Vf, 0, 44, [2], 0, false)], [new VcpuPlaceDto(0, [1], [0])], [new DevicePlaceDto(Vf, 0)], [new MemoryPlaceDto(0, 512L << 20)],
        [new CrossingDto("vcpu-nodes", null, null, 0, "vCPU 0 may run on nodes 0, 1.")]);

    public static SeriesDto Series { get; } = new("kvm.vcpu.0.exits", SeriesKind.Counter, "exits");

    public static MetricsDto Metrics { get; } = new(VmId, Noon, Noon.AddMinutes(1), 60, [Noon.ToUnixTimeMilliseconds()], [new MetricSeriesDto(Series.Key, Series.Kind, Series.Unit, [125.5m])]);

    public static EnrolmentTokenDto EnrolmentToken { get; } = new(TokenId, Label, Noon, By, Noon.AddHours(1), null, null);

    public static CreatedEnrolmentTokenDto CreatedEnrolmentToken { get; } = new(TokenId, "exen_…", "sha256:…", 7444, Noon.AddHours(1));

    public static ApiTokenDto ApiToken { get; } = new(TokenId, TokenName, "exat_3fQz1", Noon, "admin", Noon.AddDays(90), null, Role.Operator, ProjectId);

    public static CreatedApiTokenDto CreatedApiToken { get; } = new(TokenId, TokenName, "exat_…", Noon.AddDays(90));

    public static ProjectRequest ProjectToMake { get; } = new(ProjectName, new QuotaDto(10, 40, 65536, 20));

    public static ProjectDto Project { get; } = new(ProjectId, ProjectName, new QuotaDto(10, 40, 65536, 20), new QuotaDto(1, 2, 512, 1), Noon);

    public static PersonDto Person { get; } = new(PersonId, PersonName, [new GrantDto(Role.Operator, ProjectId)], false);

    public static NewPasswordDto NewPassword { get; } = new(PersonId, PersonName, "…");

    public static WebhookDto Webhook { get; } = new(WebhookId, WebhookName, WebhookUrl, ["vm-ended", "operation-failed"], Noon, By, 0, Noon, 0, null, null);

    public static CreatedWebhookDto CreatedWebhook { get; } = new(WebhookId, WebhookName, "exwh_…");

    public static MeDto Me { get; } = new(TokenId, By, [new GrantDto(Role.Operator, ProjectId)]);

    public static PlacementDto Placement { get; } = new(new PlacedDto(HostId, HostName, 0, [Vf]), 1, 1, [new PlacementHostDto(HostId, HostName, true, 0.75, null, null), new PlacementHostDto(AuditId, "rack1-node4", false, null, "vfs-short", "it has 0 free VFs, and 1 are asked for")]);

    public static AuditDto Audit { get; } = new(
        AuditId, Noon, By, TokenId, AuditAction.Deleted, "vm", VmId.ToString("D"), VmName, ProjectId, new JsonObject { ["name"] = VmName, ["desired"] = "stopped" }, null);

    /// <summary>An operation that has just been asked for.</summary>
    public static OperationDto Operation(OperationKind kind, string title) => new(
        OperationId, kind, OperationState.Waiting, title, $"{HostName} has not taken it up yet.", $"{HostName} has not taken it up yet.", HostId, HostName,
        kind == OperationKind.SetVfs ? null : VmId, kind == OperationKind.SetVfs ? null : VmName, kind == OperationKind.SetVfs ? Pf : null, [], null, By, Noon, null, Noon.AddMinutes(10), true, kind == OperationKind.SetVfs ? null : ProjectId);
}
