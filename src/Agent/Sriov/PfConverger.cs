using Exitless.Agent.Wanted;
using Exitless.Contracts;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Sriov;

/// <summary>Brings PFs to their wanted number of VFs, one at a time. A PF that failed is left until its generation changes.</summary>
internal sealed partial class PfConverger(VfProvisioner provisioner, ObservedBoard board, Action changed, ILogger log)
{
    private readonly Dictionary<string, ulong> _reached = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private Task _work = Task.CompletedTask;

    /// <summary>Ends when every PF wanted so far has been tried: a VM that wants a VF waits for it.</summary>
    public Task Settled
    {
        get
        {
            lock (_gate)
                return _work;
        }
    }

    public void Apply(IReadOnlyList<WantedPf> wanted)
    {
        lock (_gate)
            _work = ApplyAfterAsync(_work, wanted);
    }

    private async Task ApplyAfterAsync(Task before, IReadOnlyList<WantedPf> wanted)
    {
        await before;
        await Task.Yield();
        board.KeepPfs(wanted.Select(p => p.Address).ToHashSet(StringComparer.Ordinal));
        foreach (var pf in wanted)
        {
            if (_reached.TryGetValue(pf.Address, out var reached) && reached == pf.Generation)
                continue;
            await ConvergeAsync(pf);
            _reached[pf.Address] = pf.Generation;
        }
    }

    private async Task ConvergeAsync(WantedPf wanted)
    {
        var observed = new ObservedPf { Address = wanted.Address, Generation = wanted.Generation };
        try
        {
            await provisioner.ConvergeAsync(wanted.Address, (int)wanted.NumVfs, steps =>
            {
                observed.Steps.Clear();
                observed.Steps.AddRange(steps);
                board.Report(observed);
            });
            observed.Converged = true;
        }
        catch (ProblemException e)
        {
            observed.Problem = e.Problem;
            Refused(log, wanted.Address, wanted.NumVfs, e.Problem.Detail);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            observed.Problem = new Problem
            {
                Code = "vf-creation-failed",
                Title = "The VFs could not be created",
                Detail = $"{wanted.Address}: {e.Message}",
                Remedy = "The host's kernel log says why.",
                Field = "numVfs",
            };
            Refused(log, wanted.Address, wanted.NumVfs, e.Message);
        }
        board.Report(observed);
        changed();
    }

    [LoggerMessage(20, LogLevel.Warning, "{Address}: {NumVfs} VFs could not be made: {Reason}")]
    private static partial void Refused(ILogger log, string address, uint numVfs, string reason);
}
