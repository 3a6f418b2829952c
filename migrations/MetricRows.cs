namespace Exitless.Migrations;

/// <summary>
/// The table of metric rows: one row a VM and sample time, its values in the order of its schema. Partitioned by day, so that old days go by dropping
/// a table; the control plane makes the partitions.
/// </summary>
internal static class MetricRows
{
    public const string Create = """
        CREATE TABLE metric_rows (
            vm_id uuid NOT NULL,
            time timestamptz NOT NULL,
            schema_id integer NOT NULL,
            values bigint[] NOT NULL,
            PRIMARY KEY (vm_id, time)
        ) PARTITION BY RANGE (time);
        """;

    public const string Drop = "DROP TABLE metric_rows;";
}
