namespace Exitless.Lab;

/// <summary>The VMM's own file, which belongs to a published agent.</summary>
public static class PublishedVmm
{
    private const string Name = "exitless-vmm";

    /// <summary>The file beside an agent's, where a host has it, or in the folder that <c>scripts/build</c> gives it.</summary>
    /// <param name="agent">The published agent.</param>
    /// <returns>Null where there is none: then VMs run from the agent's own file.</returns>
    public static string? Of(string agent)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(agent))!;
        return ((string[])[Path.Combine(folder, Name), Path.Combine(folder, "../vmm", Name)]).FirstOrDefault(File.Exists);
    }
}
