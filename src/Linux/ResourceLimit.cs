using System.Runtime.InteropServices;

namespace Exitless.Linux;

/// <summary>A resource with a limit for each process; values of sys/resource.h.</summary>
public enum LimitedResource
{
    /// <summary>Open descriptors, in descriptors.</summary>
    OpenFiles = 7,
    /// <summary>Locked memory, in bytes. VFIO's type 1 IOMMU charges the guest memory that it pins.</summary>
    LockedMemory = 8,
}

/// <summary>The limits of this process for one resource (getrlimit(2)).</summary>
/// <param name="Soft">What holds now; <see cref="Unlimited"/> for none.</param>
/// <param name="Hard">How far an unprivileged process may raise <paramref name="Soft"/>.</param>
public readonly partial record struct ResourceLimit(ulong Soft, ulong Hard)
{
    /// <summary>RLIM_INFINITY.</summary>
    public const ulong Unlimited = ulong.MaxValue;

    /// <summary>Reads this process's limits.</summary>
    public static ResourceLimit Get(LimitedResource resource)
    {
        var pair = default(Pair);
        return GetNative((int)resource, ref pair) < 0 ? throw LinuxException.FromLastError($"getrlimit {resource}") : new ResourceLimit(pair.Soft, pair.Hard);
    }

    /// <summary>Sets this process's limits.</summary>
    public static void Set(LimitedResource resource, ResourceLimit limit)
    {
        var pair = new Pair { Soft = limit.Soft, Hard = limit.Hard };
        if (SetNative((int)resource, ref pair) < 0)
            throw LinuxException.FromLastError($"setrlimit {resource}");
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Pair
    {
        public ulong Soft;
        public ulong Hard;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int GetNative(int resource, ref Pair pair);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int SetNative(int resource, ref Pair pair);
}
