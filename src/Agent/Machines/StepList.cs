using Exitless.Contracts;

namespace Exitless.Agent.Machines;

/// <summary>The steps of one change, reported as they go.</summary>
internal sealed class StepList(TimeProvider time, Action<IReadOnlyList<Step>> report)
{
    private readonly List<Step> _steps = [];

    public IReadOnlyList<Step> Steps => _steps;

    /// <summary>Runs a step; a failure marks it and goes on to the caller.</summary>
    public async Task RunAsync(string name, Func<Task<string>> work)
    {
        var step = new Step { Name = name, State = StepState.Running, StartedAt = Now };
        _steps.Add(step);
        report(_steps);
        try
        {
            step.Detail = await work();
            step.State = StepState.Done;
        }
        catch (Exception e)
        {
            step.Detail = e.Message;
            step.State = StepState.Failed;
            throw;
        }
        finally
        {
            step.FinishedAt = Now;
            report(_steps);
        }
    }

    public Task RunAsync(string name, Func<string> work) => RunAsync(name, () => Task.FromResult(work()));

    private long Now => time.GetUtcNow().ToUnixTimeMilliseconds();
}
