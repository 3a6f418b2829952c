using Exitless.Agent.Events;
using Exitless.Agent.Link;
using Exitless.Contracts;

namespace Exitless.Agent.Doctor;

/// <summary>The doctor within the daemon: looks at the start and again and again, keeps the topology for the next boot, and tells what changed since the last one.</summary>
internal sealed class DoctorFeed(HostDoctor doctor, LatestSource<DoctorReport> source, EventLog events, string stateFolder, TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromMinutes(5);
    private readonly HashSet<string> _told = new(StringComparer.Ordinal);
    private TopologyMemory? _saved;

    /// <summary>Looks once. What changed since the last boot becomes an event, each change once in the daemon's life.</summary>
    public void Look()
    {
        var diagnosis = doctor.Diagnose();
        foreach (var finding in diagnosis.Findings.Where(f => f.Id == "topology" && f.Severity == Severity.Warning))
        {
            if (_told.Add(finding.Title))
                events.Warning("topology-changed", finding.Title, device: finding.Subject);
        }
        if (!diagnosis.Memory.IsSame(_saved))
            Save(diagnosis.Memory);
        source.Set(diagnosis.Report);
    }

    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            await Task.Delay(Period, time, stop);
            Look();
        }
    }

    private void Save(TopologyMemory memory)
    {
        try
        {
            memory.Save(stateFolder);
            _saved = memory;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_told.Add("unsaved"))
                events.Warning("topology-not-kept", $"The topology cannot be kept for the next boot: {e.Message}");
        }
    }
}
