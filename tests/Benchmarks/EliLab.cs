using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Benchmarks;

/// <summary>Hosts with ELI whose demo guest has the attacker's module.</summary>
internal static class EliLab
{
    /// <param name="agent">The published agent.</param>
    /// <param name="folder">For the module and the host's files.</param>
    /// <param name="shape">What kind of host.</param>
    public static async Task<LabHost> StartAsync(string agent, string folder, Func<LabHostOptions, LabHostOptions> shape)
    {
        var files = await Preparation.EnsureAsync(LabCache.Root, renew: false, Console.WriteLine, CancellationToken.None);
        var modules = await EliModules.EnsureAsync(LabCache.Root, files, Console.WriteLine, CancellationToken.None);
        var module = await Attack.BuildAsync(modules.Headers, Path.Combine(folder, "module"), CancellationToken.None);
        return await LabHost.StartAsync(
            shape(new LabHostOptions
            {
                Name = "eli",
                RunRoot = Path.Combine(folder, "run"),
                Files = [new LabFile(agent, "/opt/exitless-agent")],
                GuestFiles = [new LabFile(module, Attack.Module)],
                Eli = true,
                BootLimit = TimeSpan.FromMinutes(10),
                Progress = Console.WriteLine,
            }),
            CancellationToken.None);
    }
}
