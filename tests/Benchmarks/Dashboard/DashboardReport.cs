using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>The figures beside their bars.</summary>
internal static class DashboardReport
{
    private const string Command = "dotnet run -c Release --project tests/Benchmarks -- dashboard";
    // Heaps breathe between collections: flat is within a tenth, or within half a megabyte of a small one.
    private const double MostHeapGrowth = 1.1;

    private static IEnumerable<Row> Rows(DashboardFigures figures)
    {
        var (wall, viewer, pages) = figures;
        yield return new("main_thread_percent", $"{wall.Charts} live charts of 4 series at 1 Hz: main thread busy, %", wall.MainThreadPercent, 5);
        yield return new("dropped_seconds", "the same: dropped seconds", wall.DroppedSeconds, 0);
        yield return new("heap_growth", "the same: JavaScript heap at the end over that at the beginning", (double)wall.HeapAfter / wall.HeapBefore, MostHeapGrowth);
        yield return new("viewer_cpu_ms", "one more viewer of 24 live charts: the server's CPU time, ms/s", viewer.CpuMilliseconds, 2);
        yield return new("viewer_bytes", "the same: bytes/s", viewer.Bytes, 5000);
        yield return new("first_row_ms", "hosts page, warm, to its first row, ms (median)", pages.FirstRow.Median, 500);
        yield return new("overview_ms", "overview, warm, to its figures, ms (median)", pages.Overview.Median, 500);
        yield return new("scroll_ms", "list of VMs: scroll, ms (median)", pages.Scroll.Median, 200);
        yield return new("filter_ms", "list of VMs: filter, ms (median)", pages.Filter.Median, 200);
        yield return new("sort_ms", "list of VMs: sort, ms (median)", pages.Sort.Median, 200);
    }

    public static string Markdown(DashboardOptions options, DashboardFigures figures)
    {
        var text = new StringBuilder();
        text.AppendLine("# The dashboard's cost");
        text.AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"Measured by `{Command}` on {Environment.ProcessorCount} CPUs, shared by the control plane, PostgreSQL, {12 + options.Hosts} simulated hosts and headless Chromium without a GPU. {options.Vms} VMs are in the list; 48 of them run on simulated hosts, the others stand in the database alone.");
        text.AppendLine();
        text.AppendLine("| what | figure | bar | |");
        text.AppendLine("|---|---|---|---|");
        foreach (var row in Rows(figures))
            text.AppendLine(CultureInfo.InvariantCulture, $"| {row.Words} | {row.Value:0.##} | {row.Bar:0.##} | {(row.Holds ? "holds" : "**missed**")} |");
        text.AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"The charts were watched for {options.WallSeconds} s (`EXITLESS_NIGHTLY=1`: ten minutes). The main thread's time is Chromium's `TaskDuration`, everything that it does. One viewer's cost is the difference that {figures.Viewer.Viewers} more viewers make to the process's CPU time over 30 s, while one was there before.");
        text.AppendLine("Waits are taken by the page's own clock from the act to the frame in which its outcome stands; a search waits 80 ms for the next key, which is part of the figure. The longest, ms: " + string.Join(", ",
            new[] { ("hosts page", figures.Pages.FirstRow), ("overview", figures.Pages.Overview), ("scroll", figures.Pages.Scroll), ("filter", figures.Pages.Filter), ("sort", figures.Pages.Sort) }
                .Select(w => string.Create(CultureInfo.InvariantCulture, $"{w.Item1} {w.Item2.Longest:0}"))) + ".");
        return text.ToString();
    }

    public static string Json(DashboardFigures figures)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("benchmark", "dashboard");
            foreach (var row in Rows(figures))
                json.WriteNumber(row.Key, Math.Round(row.Value, 3));
            json.WriteBoolean("holds", Rows(figures).All(row => row.Holds));
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private sealed record Row(string Key, string Words, double Value, double Bar)
    {
        public bool Holds => Value <= Bar;
    }
}
