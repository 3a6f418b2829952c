using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Npgsql;

namespace Exitless.ControlPlane.Fleet;

/// <summary>How a list is read: SQL that is written here and never by a caller, who only names sorts and filters.</summary>
/// <param name="Columns">What a row's reader needs.</param>
/// <param name="From">Tables. <c>@linked</c> is the hosts whose links are up.</param>
/// <param name="Key">Columns that make the order total.</param>
/// <param name="OwnOrder">Order when none is asked for.</param>
/// <param name="Searched">Text columns that the search looks into.</param>
/// <param name="Sorts">Expressions by name.</param>
/// <param name="Filters">Expressions of type text by name.</param>
internal sealed record ListSql(
    string Columns, string From, string Key, string OwnOrder, IReadOnlyList<string> Searched, IReadOnlyDictionary<string, string> Sorts, IReadOnlyDictionary<string, string> Filters)
{
    private const int MostRows = 1000;

    /// <summary>Reads one page.</summary>
    public async Task<ListPage<T>> ReadAsync<T>(DatabaseServer database, IReadOnlyCollection<Guid> linked, ListQuery query, Func<NpgsqlDataReader, T> read, CancellationToken ct)
    {
        var (where, values) = Conditions(query);
        var order = query.Sort is { } sort && Sorts.TryGetValue(sort, out var expression) ? $"{expression} {(query.Descending ? "DESC" : "ASC")} NULLS LAST, {Key}" : OwnOrder;
        await using var batch = database.Source.CreateBatch();
        Add($"SELECT count(*) FROM {From} WHERE {where}");
        Add($"SELECT {Columns} FROM {From} WHERE {where} ORDER BY {order} LIMIT {Math.Clamp(query.Count, 1, MostRows)} OFFSET {Math.Max(0, query.Offset)}");
        await using var reader = await batch.ExecuteReaderAsync(ct);
        await reader.ReadAsync(ct);
        var total = (int)Math.Min(int.MaxValue, reader.GetInt64(0));
        await reader.NextResultAsync(ct);
        var rows = new List<T>();
        while (await reader.ReadAsync(ct))
            rows.Add(read(reader));
        return new ListPage<T>(rows, total);

        void Add(string text)
        {
            var command = new NpgsqlBatchCommand(text);
            if (text.Contains("@linked", StringComparison.Ordinal))
                command.Parameters.Add(new NpgsqlParameter<Guid[]>("linked", [.. linked]));
            foreach (var (name, value) in values)
                command.Parameters.AddWithValue(name, value);
            batch.BatchCommands.Add(command);
        }
    }

    private (string Where, List<(string Name, string Value)> Values) Conditions(ListQuery query)
    {
        var conditions = new List<string> { "TRUE" };
        var values = new List<(string, string)>();
        var search = query.Search.Trim();
        if (search.Length > 0)
        {
            conditions.Add($"({string.Join(" OR ", Searched.Select(column => $"{column} ILIKE @search"))})");
            values.Add(("search", $"%{search.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("%", "\\%", StringComparison.Ordinal).Replace("_", "\\_", StringComparison.Ordinal)}%"));
        }
        foreach (var (name, value) in query.Filters ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            if (value.Length == 0 || !Filters.TryGetValue(name, out var expression))
                continue;
            conditions.Add($"{expression} = @filter{values.Count}");
            values.Add(($"filter{values.Count}", value));
        }
        return (string.Join(" AND ", conditions), values);
    }
}
