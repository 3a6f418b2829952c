namespace Exitless.ControlPlane.Fleet;

/// <summary>The fleet's lists in SQL.</summary>
internal static class FleetSql
{
    /// <summary>A host's state, as <see cref="Api.FleetDto.Hosts"/> names it.</summary>
    public const string HostState = """
        CASE WHEN h.revoked_at IS NOT NULL THEN 'revoked'
             WHEN h.id = ANY(@linked) THEN CASE WHEN h.capabilities @> '[{"present": false}]' THEN 'not-ready' ELSE 'linked' END
             WHEN h.last_seen_at IS NULL THEN 'enrolled' ELSE 'lost' END
        """;

    /// <summary>Whether a new VM could own the function d, of which o is the owner.</summary>
    public const string Free = "(d.pf_address IS NOT NULL AND o.vm_id IS NULL AND d.facts->>'inUse' IS NULL AND d.facts->>'iommuGroup' IS NOT NULL)";

    /// <summary>Every function d with its owner o, if it has one.</summary>
    public const string Owned = "devices d LEFT JOIN vm_devices o ON o.host_id = d.host_id AND o.address = d.address";

    public static readonly ListSql Hosts = new(
        "h.id", "hosts h", "h.name, h.id", "h.name, h.id", ["h.name", "h.facts->>'cpuModel'", "h.facts->>'kernel'"],
        Names(
            ("name", "h.name"), ("state", HostState), ("cpus", "jsonb_array_length(h.facts->'onlineCpus')"), ("memory", "(h.facts->>'memoryBytes')::bigint"), ("kernel", "h.facts->>'kernel'"), ("heard", "h.last_seen_at"),
            ("vms", "(SELECT count(*) FROM vms v WHERE v.host_id = h.id)"), ("freeVfs", $"(SELECT count(*) FROM {Owned} WHERE d.host_id = h.id AND {Free})")),
        Names(("state", HostState)));

    public static readonly ListSql Vms = new(
        "v.id", "vms v JOIN hosts h ON h.id = v.host_id", "v.name", "v.name", ["v.name", "h.name"],
        Names(("name", "v.name"), ("state", VmState), ("host", "h.name"), ("vcpus", "v.vcpus"), ("memory", "v.memory_mib"), ("started", "v.started_at"), ("created", "v.created_at")),
        Names(("state", VmState), ("link", "CASE WHEN v.host_id = ANY(@linked) THEN 'up' ELSE 'lost' END"), ("host", "v.host_id::text")));

    public static readonly ListSql Devices = new(
        "d.host_id, d.address", $"{Owned} LEFT JOIN vms w ON w.id = o.vm_id JOIN hosts h ON h.id = d.host_id", "h.name, d.host_id, d.address", "h.name, d.host_id, d.address",
        ["d.address", "h.name", "d.facts->>'name'", "d.facts->>'driver'", "d.facts->>'mac'", "w.name"],
        Names(("address", "d.address"), ("host", "h.name"), ("name", "d.facts->>'name'"), ("driver", "d.facts->>'driver'"), ("numa", "(d.facts->>'numaNode')::int"), ("use", DeviceUse)),
        Names(("kind", DeviceKind), ("use", DeviceUse), ("host", "d.host_id::text")));

    public static readonly ListSql Operations = new(
        "x.id", "operations x", "x.id DESC", "x.id DESC", ["x.vm_name", "x.host_name", "x.device", "x.requested_by", "x.kind"],
        Names(("begun", "x.id"), ("state", "x.state"), ("kind", "x.kind"), ("host", "x.host_name"), ("by", "x.requested_by")),
        Names(("state", "lower(x.state)"), ("kind", "lower(left(x.kind, 1)) || substr(x.kind, 2)"), ("host", "x.host_id::text")));

    public static readonly ListSql Events = new(
        "e.id", "events e", "e.id DESC", "e.id DESC", ["e.message", "e.kind", "e.host_name", "e.vm_name", "e.actor"],
        Names(("time", "e.id"), ("kind", "e.kind"), ("severity", "CASE e.severity WHEN 'Error' THEN 2 WHEN 'Warning' THEN 1 ELSE 0 END")),
        Names(("severity", "lower(e.severity)")));

    public static readonly ListSql Audit = new(
        "a.id", "audit a", "a.id DESC", "a.id DESC", ["a.thing_name", "a.actor", "a.kind", "a.thing_id"],
        Names(("time", "a.id"), ("actor", "a.actor"), ("action", "a.action"), ("thing", "a.kind || ' ' || a.thing_name")),
        Names(("action", "lower(a.action)"), ("kind", "a.kind")));

    public static readonly ListSql Findings = new(
        "h.id, h.name, h.report->>'reportedAt', f.value::text", "hosts h CROSS JOIN LATERAL jsonb_array_elements(h.report->'findings') WITH ORDINALITY f(value, n)", "h.name, h.id, f.n", $"{Severity} DESC, h.name, h.id, f.n",
        ["f.value->>'title'", "f.value->>'id'", "h.name", "f.value->>'subject'"],
        Names(("severity", Severity), ("host", "h.name"), ("id", "f.value->>'id'")),
        Names(("severity", "f.value->>'severity'"), ("show", "CASE WHEN f.value->>'severity' IN ('warning', 'blocker') THEN 'todo' ELSE 'fine' END")));

    private const string VmState = "CASE WHEN v.deleting THEN 'deleting' ELSE lower(v.state) END";

    private const string DeviceKind = "CASE WHEN d.pf_address IS NOT NULL THEN 'vf' WHEN (d.facts->>'totalVfs')::int > 0 THEN 'pf' ELSE 'plain' END";

    private const string DeviceUse = $"CASE WHEN o.vm_id IS NOT NULL THEN 'owned' WHEN d.facts->>'inUse' IS NOT NULL THEN 'in-use' WHEN {Free} THEN 'free' ELSE 'other' END";

    private const string Severity = "CASE f.value->>'severity' WHEN 'blocker' THEN 3 WHEN 'warning' THEN 2 WHEN 'info' THEN 1 ELSE 0 END";

    private static Dictionary<string, string> Names(params ReadOnlySpan<(string Name, string Expression)> pairs)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, expression) in pairs)
            names.Add(name, expression);
        return names;
    }
}
