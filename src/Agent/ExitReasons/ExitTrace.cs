using System.Globalization;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Linux.Tracing;

namespace Exitless.Agent.ExitReasons;

/// <summary>
/// Counts VM exits by their true reason, in the kernel: a <c>hist</c> trigger on <c>kvm:kvm_exit</c> and one on <c>kvm:kvm_msr</c>, in a tracing instance of our own, for the threads
/// of the followed VMs alone. It costs each of their exits the tracepoint and the count, so it is set up with the first VM that is followed and taken away with the last.
/// </summary>
/// <param name="root">The host.</param>
internal sealed class ExitTrace(HostRoot root) : IDisposable
{
    private const string Prefix = "exitless-";
    private const string ExitEvent = "kvm/kvm_exit", MsrEvent = "kvm/kvm_msr";
    // Keys: for each vCPU a dozen reasons and a few MSRs. The kernel keeps room for all of them, some 100 bytes each.
    private const string ExitTrigger = "hist:keys=common_pid,isa,exit_reason:size=8192", MsrTrigger = "hist:keys=common_pid,ecx,write:size=8192";
    private readonly Dictionary<int, IReadOnlyList<int>> _followed = [];   // threads by process
    private HistogramReader.Take? _takeExit, _takeMsr;
    private TraceInstance? _instance;
    private HistogramReader? _exits, _msrs;

    /// <summary>Why the last attempt to set the triggers failed, in words; null if it did not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>How many exits found no place in the histogram, and are missing.</summary>
    public long Dropped => (_exits?.Dropped ?? 0) + (_msrs?.Dropped ?? 0);

    /// <summary>The counts as last read, of all followed threads; they begin anew when the triggers are set.</summary>
    public Dictionary<ExitKey, long> Counts { get; } = [];

    /// <summary>Takes away what agents that are no more have left: their triggers would count on.</summary>
    public static void CleanUp(HostRoot root)
    {
        foreach (var name in TraceInstance.Names(root).Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            if (!int.TryParse(name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var owner))
                continue;   // not ours
            if (owner != Environment.ProcessId && IsAgent(root, owner))
                continue;   // the daemon's, or a watch's, that runs beside us
            try
            {
                TraceInstance.Remove(root, name);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody looks into it; the next start tries again.
            }
        }
    }

    /// <summary>True while the threads of this process are counted.</summary>
    public bool Follows(int processId) => _followed.ContainsKey(processId);

    /// <summary>Counts the exits of these threads from now on.</summary>
    /// <param name="processId">The VM's process.</param>
    /// <param name="threads">Its vCPUs' threads; those that were given before are forgotten.</param>
    /// <returns>False if the kernel does not let us; <see cref="Refusal"/> says why.</returns>
    public bool TryFollow(int processId, IReadOnlyList<int> threads)
    {
        if (threads.Count == 0)
            return false;
        _followed[processId] = threads;
        try
        {
            // The filter before the triggers: without it they would count for all VMs.
            _instance ??= TraceInstance.Create(root, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{Environment.ProcessId}"));
            _instance.OnlyThreads(_followed.Values.SelectMany(t => t));
            if (_exits is null)
            {
                _instance.SetTrigger(ExitEvent, ExitTrigger);
                _exits = new HistogramReader(_instance.OpenHistogram(ExitEvent));
                _instance.SetTrigger(MsrEvent, $"{MsrTrigger} if {MsrNames.Filter}");
                _msrs = new HistogramReader(_instance.OpenHistogram(MsrEvent));
            }
            Refusal = null;
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Refusal = $"Exits cannot be counted by reason on this host: {e.Message} It takes root, tracefs at /sys/kernel/tracing, CONFIG_HIST_TRIGGERS, and a kernel that is not locked down.";
            Close();
            return false;
        }
    }

    /// <summary>Counts them no more.</summary>
    public void Leave(int processId)
    {
        if (!_followed.Remove(processId))
            return;
        if (_followed.Count == 0)
            Close();
        else
            _instance?.OnlyThreads(_followed.Values.SelectMany(t => t));
    }

    /// <summary>Reads the counts; once a second.</summary>
    public void Read()
    {
        Counts.Clear();
        try
        {
            _exits?.Read(_takeExit ??= (key, count) => Add(key, count, isMsr: false));
            _msrs?.Read(_takeMsr ??= (key, count) => Add(key, count, isMsr: true));
        }
        catch (LinuxException)
        {
            Close();   // taken away by somebody else
        }
    }

    public void Dispose() => Close();

    private void Add(ReadOnlySpan<long> key, long count, bool isMsr)
    {
        if (key.Length == HistogramReader.MostFields)
            CollectionsMarshal.GetValueRefOrAddDefault(Counts, new ExitKey((int)key[0], isMsr, key[1], key[2]), out _) += count;
    }

    private void Close()
    {
        _followed.Clear();
        _exits?.Dispose();
        _msrs?.Dispose();
        _instance?.Dispose();
        (_exits, _msrs, _instance) = (null, null, null);
        Counts.Clear();
    }

    private static bool IsAgent(HostRoot root, int processId) => SysfsFile.Text(root.Proc(string.Create(CultureInfo.InvariantCulture, $"{processId}/comm"))) is "exitless-agent";
}

/// <summary>What a count is of.</summary>
/// <param name="Thread">The vCPU's thread.</param>
/// <param name="IsMsr">True: MSR accesses; false: exits.</param>
/// <param name="First">Of an exit the <c>isa</c>, of an MSR access the MSR's number.</param>
/// <param name="Second">Of an exit the reason, of an MSR access 1 for a write.</param>
internal readonly record struct ExitKey(int Thread, bool IsMsr, long First, long Second)
{
    /// <summary>The name of its series, without the vCPU.</summary>
    public string Name => IsMsr ? $"{(Second == 1 ? ReasonNames.MsrWrite : ReasonNames.MsrRead)}.{MsrNames.Of(First)}" : ReasonNames.Of(First, Second);
}
