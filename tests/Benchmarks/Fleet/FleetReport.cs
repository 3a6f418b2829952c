using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Exitless.Benchmarks.Fleet;

/// <summary>The figures beside their bars. A bar that was not measured, or not at the size it speaks of, neither holds nor is missed; but a smaller fleet that misses one has missed it.</summary>
internal static class FleetReport
{
    private const double MostMib = 1500, MostListMs = 100, MostOrderMs = 250, LeastOfCopy = 0.5, MostBytes = 8;

    private static IEnumerable<Row> Rows(FleetOptions options, FleetFigures f)
    {
        var (held, asked, ingest, watched) = (f.Held, f.Requests, f.Ingest, f.Watched);
        yield return new("hosts_held", "fleet held, 10 s samples, all links up: hosts", held?.LinkedHosts, 5000, At(options, held is null ? null : held.Holds && held.LinkedHosts == options.Hosts),
            held is null ? null : string.Create(CultureInfo.InvariantCulture, $"{options.Vms} VMs, {options.Vfs} VFs, {held.Seconds:0} s: {held.LinksLost} links lost, {held.RowsCommitted} of {held.RowsDue} rows committed, p99 {held.AgeP99:0.0} s after they were taken; {held.Cpu.Words}"));
        yield return new("vms_watched", "every VM watched at 1 s, every vector: VMs", watched?.Vms, 6000, watched is null ? null : !watched.Holds ? false : watched.Vms >= 6000 ? true : null,
            watched is null ? null : string.Create(CultureInfo.InvariantCulture, $"{options.WatchedHosts} hosts; {watched.Words}; {watched.LinksLost} links lost; {watched.PssMib:0} MiB; {watched.Cpu.Words}"));
        yield return new("bytes_of_sample", "disk per sample, all indexes counted, bytes", ingest?.BytesOfValue, MostBytes, ingest is null ? null : ingest.BytesOfValue <= MostBytes ? null : false,
            ingest is null ? null : string.Create(CultureInfo.InvariantCulture, $"raw rows of {ingest.BytesOfRow:0} bytes, their index and their schemas; there is no rollup yet, so a day's cannot be shown to hold"));
        yield return new("ingest_of_copy", "ingest, agent stream to committed rows, over a bare COPY of them", ingest is null ? null : ingest.Stream / ingest.Copy, LeastOfCopy, At(options, ingest is null ? null : ingest.Stored && ingest.Stream >= LeastOfCopy * ingest.Copy),
            ingest is null ? null : $"{ingest.Words}; links: {ingest.StreamCpu.Words}; COPY: {ingest.CopyCpu.Words}{(ingest.Stored ? "" : "; NOT all rows were stored")}");
        yield return new("list_p99_ms", string.Create(CultureInfo.InvariantCulture, $"list 100 of {options.Vms} VMs, filtered and sorted, p99 under that load, ms"), asked?.List?.P99, MostListMs, At(options, asked?.List is { } list ? list.P99 <= MostListMs : null),
            asked is null ? null : $"{asked.Words}; {asked.Cpu.Words}");
        yield return new("order_p99_ms", "VM accepted to order at the agent, p99, ms", asked?.Ordered?.P99, MostOrderMs, At(options, asked?.Ordered is { } ordered ? ordered.P99 <= MostOrderMs && asked.NotOrdered == 0 : null),
            asked is null ? null : $"from the request itself, acceptance included; {asked.NotOrdered} orders never came, {asked.Refused} were refused");
        yield return new("placement_p99_ms", "placement on 5,000 hosts, p99, ms; two replicas, the last 500 VFs", null, 20, null, "there is no placement yet; a VM names its host");
        yield return new("sample_to_pixel_p99_ms", "sample at the agent to pixel, p99, 200 viewers of 24 charts, ms", null, 1500, null, "not measured here: it takes browsers");
        yield return new("faults_converged_s", "kill -9 of the control plane, of PostgreSQL, of half of the agents: s from the last fault until all has converged", f.Faults?.Converged, 60, f.Faults?.Holds,
            f.Faults is null ? null : $"{f.Faults.Words}; one replica, which a service manager starts again: there is no second one yet");
        yield return new("memory_mib", "memory of the control plane at full fleet (PSS), MB", held?.PssMib * 1.048576, MostMib, At(options, held is null ? null : held.PssMib * 1.048576 <= MostMib),
            held is null ? null : string.Create(CultureInfo.InvariantCulture, $"RSS {held.RssMib * 1.048576:0} MB"));
    }

    // A small fleet can miss a bar, and cannot show that it holds.
    private static bool? At(FleetOptions options, bool? holds) => holds is true && !options.Whole ? null : holds;

    public static string Markdown(FleetOptions options, FleetFigures figures)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"""
            # The fleet

            Written by `dotnet run -c Release --project tests/Benchmarks -- fleet{(options.Whole ? "" : $" --hosts {options.Hosts}")}{(options.Long ? " --long" : "")}`: {options.Hosts} simulated hosts ([simulator](../simulator.md)), {options.Vms} VMs, {options.Vfs} VFs;
            windows of {options.Window.TotalSeconds:0} s{(options.Long ? "" : " (`--long`: 10 minutes)")}. The hosts, the control plane and its own PostgreSQL (fsync and synchronous commit on) share {Environment.ProcessorCount} CPUs. The machine's load was
            {figures.LoadBefore} before and {figures.LoadAfter} after; what other programs took of it is given beside each figure.

            | what | figure | bar | |
            |---|---|---|---|

            """);
        foreach (var row in Rows(options, figures))
            text.Append(CultureInfo.InvariantCulture, $"| {row.Words} | {(row.Figure is { } figure ? figure.ToString("0.##", CultureInfo.InvariantCulture) : "–")} | {row.Bar:0.##} | {(row.Holds switch { true => "holds", false => "**missed**", null => row.Figure is null ? "not measured" : "not shown" })} |\n");
        text.Append('\n');
        foreach (var row in Rows(options, figures).Where(r => r.Notes is not null))
            text.Append(CultureInfo.InvariantCulture, $"- **{row.Words}**: {row.Notes}.\n");
        text.Append(CultureInfo.InvariantCulture, $"""

            ## How

            The hosts enrol with tokens and dial under mutual TLS as agents do. {options.Vms} creations through REST would take longer than the measurement: the VMs' rows are written into the
            database as a creation leaves them, after enrolment and before the hosts dial. From there on all is the product's: each host is told what is wanted of it, starts it, and reports.
            {string.Join(' ', figures.Raising)}

            A row is all series of a VM at one time ({FleetOptions.VfsOfVm * FleetOptions.VectorsOfVf} vectors, one vCPU); a sample is one value of it. The fleet is held when no link ended and, ten seconds after the window's end, the table has exactly one row for each VM and ten
            seconds of it. Faults come every 15 s, each kind in its turn and then at random; killed programs are started again at once, as a service manager does; simulated VMs outlive their agent, as real ones do. Requests are begun at fixed times whether or not earlier ones were answered. For ingest nothing else is sent: every VM hands over rows of a past that its
            host has kept, as after a lost link; the time runs from the first row sent to the last one acknowledged, and the same rows are then copied, as PostgreSQL gives them out, into an empty table of
            the same columns, partitioning and primary key.

            """);
        return text.ToString();
    }

    public static string Json(FleetOptions options, FleetFigures figures)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("benchmark", "fleet");
            json.WriteBoolean("long", options.Long);
            json.WriteNumber("hosts", options.Hosts);
            json.WriteNumber("vms", options.Vms);
            json.WriteNumber("vfs", options.Vfs);
            foreach (var row in Rows(options, figures))
                row.Write(json);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private sealed record Row(string Key, string Words, double? Figure, double Bar, bool? Holds, string? Notes)
    {
        public void Write(Utf8JsonWriter json)
        {
            json.WriteStartObject(Key);
            if (Figure is { } figure)
                json.WriteNumber("figure", Math.Round(figure, 3));
            else
                json.WriteNull("figure");
            json.WriteNumber("bar", Bar);
            if (Holds is { } holds)
                json.WriteBoolean("holds", holds);
            else
                json.WriteNull("holds");
            if (Notes is not null)
                json.WriteString("notes", Notes);
            json.WriteEndObject();
        }
    }
}
