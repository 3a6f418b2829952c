using System.Text.Json.Nodes;

namespace Exitless.Cli.Specs;

/// <summary>What is to be done so that a spec holds.</summary>
internal enum Step
{
    /// <summary>Nothing.</summary>
    Nothing,
    /// <summary>Make it.</summary>
    Create,
    /// <summary>Change it in place.</summary>
    Change,
    /// <summary>It differs in what cannot be changed: it would have to go first.</summary>
    Replace,
    /// <summary>Start the VM.</summary>
    Start,
    /// <summary>Stop the VM.</summary>
    Stop,
}

/// <summary>A member that is not as the spec has it.</summary>
internal sealed record Difference(string Member, JsonNode? Is, JsonNode? Shall);

/// <summary>What stands between a spec and what there is. Pure.</summary>
internal sealed record Plan(Step Step, IReadOnlyList<Difference> Differences)
{
    /// <param name="shall">The spec, as a request: only what it names counts.</param>
    /// <param name="run">Of a VM: running or stopped; null: as it is.</param>
    /// <param name="present">What there is; null: nothing of that name.</param>
    /// <param name="changeable">Whether it can be changed in place.</param>
    public static Plan Make(JsonObject shall, string? run, JsonObject? present, bool changeable)
    {
        if (present is null)
            return new Plan(Step.Create, [.. shall.Where(m => m.Value is not null).Select(m => new Difference(m.Key, null, m.Value))]);
        var differences = shall.Where(m => !Same(present[m.Key], m.Value)).Select(m => new Difference(m.Key, present[m.Key], m.Value)).ToList();
        if (differences.Count > 0)
            return new Plan(changeable ? Step.Change : Step.Replace, differences);
        var wanted = (string?)present["desired"] == "running" ? "running" : "stopped";
        if (run is null || run == wanted)
            return new Plan(Step.Nothing, []);
        return new Plan(run == "running" ? Step.Start : Step.Stop, [new Difference("run", wanted, run)]);
    }

    /// <summary>A spec names what matters to it; what it leaves out of an object is as it is.</summary>
    private static bool Same(JsonNode? present, JsonNode? shall) => (present, shall) switch
    {
        (null, JsonArray { Count: 0 }) or (JsonArray { Count: 0 }, null) => true,
        (JsonObject a, JsonObject b) => b.All(m => Same(a[m.Key], m.Value)),
        (JsonArray a, JsonArray b) => a.Count == b.Count && a.Zip(b).All(p => Same(p.First, p.Second)),
        _ => JsonNode.DeepEquals(present, shall),
    };
}
