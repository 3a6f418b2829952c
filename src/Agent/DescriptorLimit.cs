using Exitless.Linux;

namespace Exitless.Agent;

/// <summary>How many descriptors this process may have. Watching holds two for each vector and two for each vCPU, and the usual soft limit of 1,024 is one for programs that call select(2).</summary>
internal static class DescriptorLimit
{
    /// <summary>Raises the soft limit to the hard one, which needs no privilege.</summary>
    public static void Raise()
    {
        var limit = ResourceLimit.Get(LimitedResource.OpenFiles);
        if (limit.Soft < limit.Hard)
            ResourceLimit.Set(LimitedResource.OpenFiles, limit with { Soft = limit.Hard });
    }
}
