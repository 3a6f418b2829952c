using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Exitless.ControlPlane.Metrics;

/// <summary>What the control plane measures of itself, for Prometheus: how long the API takes, and how old rows are when they are stored. Counted since its start.</summary>
internal sealed class ServerMetrics
{
    /// <summary>Upper bounds in seconds.</summary>
    private static readonly double[] Bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly ConcurrentDictionary<(string Operation, int Status), Histogram> _requests = new();
    private readonly Histogram _ingest = new();

    /// <summary>A request was answered.</summary>
    public void Answered(string operation, int status, TimeSpan took) => _requests.GetOrAdd((operation, status), _ => new Histogram()).Add(took.TotalSeconds);

    /// <summary>A row was stored this long after it was taken on its host. Clocks that are apart make it that much longer or shorter.</summary>
    public void Stored(TimeSpan age) => _ingest.Add(Math.Max(0, age.TotalSeconds));

    /// <summary>Adds its families to a page.</summary>
    public void Write(StringBuilder page)
    {
        Begin(page, "exitless_api_request_seconds", "How long requests to the API took, by operation and status; waiting that was asked for counts.");
        foreach (var ((operation, status), histogram) in _requests.OrderBy(r => r.Key.Operation, StringComparer.Ordinal).ThenBy(r => r.Key.Status))
            histogram.Write(page, "exitless_api_request_seconds", $"operation=\"{operation}\",status=\"{status}\"");
        Begin(page, "exitless_ingest_lag_seconds", "How old metric rows were when they were stored.");
        _ingest.Write(page, "exitless_ingest_lag_seconds", "");
    }

    private static void Begin(StringBuilder page, string name, string help) => page.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} histogram\n");

    private sealed class Histogram
    {
        private readonly Lock _lock = new();
        private readonly long[] _counts = new long[Bounds.Length + 1];
        private double _sum;

        public void Add(double seconds)
        {
            var bucket = Array.FindIndex(Bounds, b => seconds <= b);
            lock (_lock)
            {
                _counts[bucket < 0 ? Bounds.Length : bucket]++;
                _sum += seconds;
            }
        }

        public void Write(StringBuilder page, string name, string labels)
        {
            long[] counts;
            double sum;
            lock (_lock)
                (counts, sum) = ([.. _counts], _sum);
            var separator = labels.Length == 0 ? "" : ",";
            var below = 0L;
            for (var i = 0; i < Bounds.Length; i++)
                page.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels}{separator}le=\"{Bounds[i]:R}\"}} {below += counts[i]}\n");
            var braces = labels.Length == 0 ? "" : $"{{{labels}}}";
            page.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{{labels}{separator}le=\"+Inf\"}} {below += counts[^1]}\n{name}_sum{braces} {sum:R}\n{name}_count{braces} {below}\n");
        }
    }
}
