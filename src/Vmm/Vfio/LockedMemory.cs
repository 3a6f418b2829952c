using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Vfio;

/// <summary>VFIO and iommufd pin all guest memory and charge it to RLIMIT_MEMLOCK of a process that lacks CAP_IPC_LOCK; iommufd counts all processes of its user.</summary>
internal static class LockedMemory
{
    /// <summary>Raises this process's soft limit as far as it may, and checks that it suffices.</summary>
    public static void Reserve(ulong bytes)
    {
        var limit = ResourceLimit.Get(LimitedResource.LockedMemory);
        if (limit.Soft == ResourceLimit.Unlimited)
            return;
        var wanted = Decide(limit, Status(), bytes);
        if (wanted != limit)
            ResourceLimit.Set(LimitedResource.LockedMemory, wanted);
    }

    /// <summary>Maps guest RAM for devices, which pins it.</summary>
    /// <param name="ram">Guest memory.</param>
    /// <param name="call">The system call, for the error's text.</param>
    /// <param name="tryMap">Maps one range: guest address, bytes, address in this process. False with the error in <see cref="Ioctl.LastError"/>.</param>
    /// <exception cref="VmmProblemException">memlock-too-low.</exception>
    /// <exception cref="LinuxException">The kernel refused for another reason.</exception>
    public static void Pin(IReadOnlyList<RamRange> ram, string call, Func<ulong, ulong, ulong, bool> tryMap)
    {
        foreach (var range in ram)
        {
            if (tryMap(range.GuestAddress, range.Size, range.HostAddress))
                continue;
            var error = Ioctl.LastError;
            throw Explain(error, range.Size) ?? (Exception)new LinuxException($"{call} 0x{range.GuestAddress:x} + {range.Size:#,0}", error);
        }
    }

    // In its sandbox the process cannot read its own status: then it has no privilege, and the kernel counts what it has locked.
    private static ProcessStatus Status()
    {
        try
        {
            return ProcessStatus.Read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    /// <summary>The limit to set.</summary>
    /// <exception cref="VmmProblemException">memlock-too-low.</exception>
    internal static ResourceLimit Decide(ResourceLimit limit, ProcessStatus status, ulong bytes)
    {
        var needed = status.LockedBytes + bytes;
        if (status.MayLockMemory || limit.Soft >= needed)
            return limit;
        return limit.Hard >= needed ? limit with { Soft = limit.Hard } : throw TooLow(limit.Hard, needed);
    }

    /// <summary>Says whether the limit is why the kernel has just refused to pin more pages.</summary>
    /// <param name="error">The kernel's error.</param>
    /// <param name="bytes">What it was to pin.</param>
    /// <returns>Null if something else is.</returns>
    public static VmmProblemException? Explain(int error, ulong bytes)
    {
        if (error != Errno.NoMemory || ResourceLimit.Get(LimitedResource.LockedMemory) is not { Soft: not ResourceLimit.Unlimited } limit)
            return null;
        return Explain(limit, Status(), bytes);
    }

    /// <summary>As <see cref="Explain(int, ulong)"/>, for any process.</summary>
    /// <param name="limit">This process's limit.</param>
    /// <param name="status">What it has locked.</param>
    /// <param name="bytes">What it tried to lock.</param>
    /// <returns>Null if something else is.</returns>
    internal static VmmProblemException? Explain(ResourceLimit limit, ProcessStatus status, ulong bytes)
    {
        var needed = status.LockedBytes + bytes;
        return status.MayLockMemory || limit.Soft >= needed ? null : TooLow(limit.Soft, needed);
    }

    private static VmmProblemException TooLow(ulong limit, ulong needed) => new(
        "memlock-too-low", "The limit of locked memory is too low.",
        $"A VM with assigned devices locks all its memory, {needed:#,0} bytes; the limit (RLIMIT_MEMLOCK) is {limit:#,0}.",
        "Set LimitMEMLOCK=infinity in the agent's unit, or 'memlock unlimited' in limits.conf, and restart the agent.", "memoryBytes");
}
