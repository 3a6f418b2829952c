using System.Text.Json.Nodes;

namespace Exitless.Cli.Api;

/// <summary>A kind of thing that can be listed.</summary>
/// <param name="Name">As the command line has it.</param>
/// <param name="Path">Of its list.</param>
/// <param name="ByName">Whether one can be named by its name.</param>
/// <param name="Columns">Of its table: heading, and the path of the member.</param>
internal sealed record Kind(string Name, string Path, bool ByName, params (string Heading, string Member)[] Columns)
{
    private const string Root = "/api/v1";

    public static IReadOnlyList<Kind> All { get; } =
    [
        new("vm", $"{Root}/vms", true, ("NAME", "name"), ("STATE", "state"), ("WANTED", "desired"), ("HOST", "hostName"), ("VCPUS", "vcpus"), ("MIB", "memoryMib"), ("ID", "id")),
        new("host", $"{Root}/hosts", true, ("NAME", "name"), ("CONNECTED", "connected"), ("VMS", "vmCount"), ("VFS", "vfCount"), ("FREE", "freeVfCount"), ("KERNEL", "facts.kernel"), ("ID", "id")),
        new("device", $"{Root}/devices", false, ("HOST", "hostName"), ("ADDRESS", "address"), ("KIND", "kind"), ("DRIVER", "driver"), ("OWNER", "owner.name"), ("NAME", "name")),
        new("operation", $"{Root}/operations", false, ("ID", "id"), ("STATE", "state"), ("TITLE", "title"), ("PROGRESS", "progress")),
        new("event", $"{Root}/events", false, ("TIME", "time"), ("SEVERITY", "severity"), ("KIND", "kind"), ("MESSAGE", "message")),
        new("finding", $"{Root}/findings", false, ("HOST", "hostName"), ("SEVERITY", "severity"), ("ID", "id"), ("TITLE", "title")),
        new("project", $"{Root}/projects", true, ("NAME", "name"), ("VMS", "used.vms"), ("VCPUS", "used.vcpus"), ("MIB", "used.memoryMib"), ("VFS", "used.vfs"), ("ID", "id")),
        new("person", $"{Root}/people", true, ("NAME", "name"), ("LOCKED", "locked"), ("ID", "id")),
        new("token", $"{Root}/tokens", true, ("NAME", "name"), ("ROLE", "role"), ("PROJECT", "projectId"), ("ENDS", "expiresAt"), ("USED", "lastUsedAt"), ("ID", "id")),
        new("enrolment-token", $"{Root}/enrolment-tokens", false, ("LABEL", "label"), ("ENDS", "expiresAt"), ("USED", "usedAt"), ("ID", "id")),
        new("webhook", $"{Root}/webhooks", true, ("NAME", "name"), ("URL", "url"), ("WAITING", "waiting"), ("DELIVERED", "deliveredAt"), ("ERROR", "lastError"), ("ID", "id")),
        new("audit", $"{Root}/audit", false, ("TIME", "time"), ("ACTOR", "actor"), ("ACTION", "action"), ("KIND", "kind"), ("THING", "thingName"), ("BEFORE", "before"), ("AFTER", "after")),
    ];

    public static Kind Named(string name) => All.First(k => k.Name == name);

    /// <summary>The path of one, by its id or name.</summary>
    public async Task<string> FindAsync(ApiClient api, string idOrName, CancellationToken ct)
    {
        if (Guid.TryParse(idOrName, out _))
            return $"{Path}/{idOrName}";
        if (!ByName)
            throw new FailureException(ExitCode.Usage, $"'{idOrName}' is no id. A {Name} has no name; take its id from 'exitless list {Name}'.");
        var found = await api.ListAsync($"{Path}?name={Uri.EscapeDataString(idOrName)}", 2, ct);
        return found.Count switch
        {
            1 => $"{Path}/{found[0]!["id"]}",
            0 => throw new FailureException(ExitCode.NotFound, $"There is no {Name} '{idOrName}'."),
            _ => throw new FailureException(ExitCode.Conflict, $"There are several of kind {Name} named '{idOrName}'; use an id from 'exitless list {Name}'."),
        };
    }

    /// <summary>The id of one, by its id or name.</summary>
    public async Task<string> IdAsync(ApiClient api, string idOrName, CancellationToken ct) => (await FindAsync(api, idOrName, ct)).Split('/')[^1];

    /// <summary>A member by its path; null: there is none.</summary>
    public static JsonNode? Member(JsonNode? of, string path) => path.Split('.').Aggregate(of, (node, name) => (node as JsonObject)?[name]);
}
