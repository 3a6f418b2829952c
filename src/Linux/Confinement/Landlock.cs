using System.Runtime.InteropServices;

namespace Exitless.Linux.Confinement;

/// <summary>Landlock (Documentation/userspace-api/landlock.rst) with no rights at all.</summary>
internal static unsafe partial class Landlock
{
    private const nint CreateRuleset = 444, RestrictSelf = 446, AskVersion = 1;
    private const int NetworkSince = 4;

    // LANDLOCK_ACCESS_FS_* by version of the interface: 13 rights at first, then REFER, TRUNCATE, IOCTL_DEV.
    private static ulong FileRights(nint version) => version switch { 1 => 0x1fff, 2 => 0x3fff, 3 or 4 => 0x7fff, _ => 0xffff };

    /// <summary>Takes every right on files and TCP ports from the calling thread and the threads that it starts from now on. What is open stays open.</summary>
    /// <returns>False: this kernel has no Landlock.</returns>
    public static bool RestrictThread()
    {
        var version = CreateNative(CreateRuleset, null, 0, AskVersion);
        if (version <= 0)
            return false;
        var attributes = stackalloc ulong[2];
        (attributes[0], attributes[1]) = (FileRights(version), 3);
        var ruleset = CreateNative(CreateRuleset, attributes, version >= NetworkSince ? 16 : 8, 0);
        if (ruleset < 0)
            throw LinuxException.FromLastError("landlock_create_ruleset");
        using var owned = Files.Own((int)ruleset);
        return RestrictNative(RestrictSelf, owned, 0) >= 0 ? true : throw LinuxException.FromLastError("landlock_restrict_self");
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint CreateNative(nint number, ulong* attributes, nint size, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint RestrictNative(nint number, SafeHandle ruleset, nint flags);
}
