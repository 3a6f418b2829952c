using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Fleet;
using Exitless.ControlPlane.Link;
using Npgsql;

namespace Exitless.ControlPlane.Placement;

/// <summary>Reads what all hosts offer, in two statements of one round trip.</summary>
internal sealed class HostOffers(DatabaseServer database, LinkRegistry links)
{
    private const string Hosts = """
        SELECT h.id, h.name, h.revoked_at IS NOT NULL, h.recovering, h.id = ANY(@linked), jsonb_array_length(h.facts->'onlineCpus'), coalesce((h.facts->>'memoryBytes')::bigint, 0) >> 20, coalesce(t.mib, 0),
               ARRAY(SELECT c->>'name' FROM jsonb_array_elements(h.capabilities) c WHERE NOT (c->>'present')::boolean),
               @kernel = '' OR coalesce(h.facts->'images' @> jsonb_build_array(jsonb_build_object('kind', 'kernel', 'name', @kernel)), FALSE),
               @initrd = '' OR coalesce(h.facts->'images' @> jsonb_build_array(jsonb_build_object('kind', 'initrd', 'name', @initrd)), FALSE)
        FROM hosts h
        LEFT JOIN (SELECT host_id, sum(memory_mib::bigint)::bigint AS mib FROM vms WHERE desired = 'Running' OR state IN ('Running', 'Starting', 'Stopping') GROUP BY 1) t ON t.host_id = h.id
        """;

    // More than one VM can have of one node is not told.
    private const string Vfs = $"""
        SELECT d.host_id, coalesce((d.facts->>'numaNode')::int, -1), (array_agg(d.address ORDER BY d.address))[1:64]
        FROM {FleetSql.Owned} WHERE {FleetSql.Free} GROUP BY 1, 2
        """;

    public async Task<IReadOnlyList<HostOffer>> ReadAsync(PlacementRequest request, CancellationToken ct)
    {
        await using var batch = database.Source.CreateBatch();
        var hosts = new NpgsqlBatchCommand(Hosts);
        hosts.Parameters.Add(new NpgsqlParameter<Guid[]>("linked", [.. links.Connected]));
        hosts.Parameters.Add(new NpgsqlParameter<string>("kernel", request.Kernel ?? ""));
        hosts.Parameters.Add(new NpgsqlParameter<string>("initrd", request.Initrd ?? ""));
        if (request.Vfs > 0)
            batch.BatchCommands.Add(new NpgsqlBatchCommand(Vfs));
        batch.BatchCommands.Add(hosts);
        await using var reader = await batch.ExecuteReaderAsync(ct);
        var free = new Dictionary<Guid, Dictionary<int, IReadOnlyList<string>>>();
        if (request.Vfs > 0)
        {
            while (await reader.ReadAsync(ct))
            {
                if (!free.TryGetValue(reader.GetGuid(0), out var nodes))
                    free[reader.GetGuid(0)] = nodes = [];
                nodes[reader.GetInt32(1)] = reader.GetFieldValue<string[]>(2);
            }
            await reader.NextResultAsync(ct);
        }
        var offers = new List<HostOffer>();
        while (await reader.ReadAsync(ct))
        {
            var id = reader.GetGuid(0);
            offers.Add(new HostOffer(
                id, reader.GetString(1), reader.GetBoolean(2), reader.GetBoolean(3), reader.GetBoolean(4), await reader.IsDBNullAsync(5, ct) ? null : reader.GetInt32(5), reader.GetInt64(6), reader.GetInt64(7),
                reader.GetFieldValue<string[]>(8), reader.GetBoolean(9), reader.GetBoolean(10), free.TryGetValue(id, out var nodes) ? nodes : new Dictionary<int, IReadOnlyList<string>>()));
        }
        return offers;
    }
}
