using System.Runtime.InteropServices;

namespace Exitless.Linux.Confinement;

/// <summary>How a process gives up what it may do. Nothing here can be taken back.</summary>
internal static partial class Privileges
{
    private const int NewMounts = 0x20000, NewUts = 0x4000000, NewIpc = 0x8000000, NewNet = 0x40000000;
    private const nuint Recursive = 0x4000, Private = 0x40000;
    private const int NoNewPrivileges = 38;

    /// <summary>True for the superuser.</summary>
    public static bool IsRoot => EffectiveUserNative() == 0;

    /// <summary>Gives the calling thread, and what it starts or becomes, namespaces of its own: mounts, network (without any link), IPC, host name. The process's other threads stay where they are. Needs CAP_SYS_ADMIN.</summary>
    public static void LeaveNamespaces()
    {
        Check(UnshareNative(NewMounts | NewUts | NewIpc | NewNet), "unshare");
        Check(MountNative("none", "/", null, Recursive | Private, null), "mount / private");
    }

    /// <summary>Makes a folder the root of all the process's threads. Needs CAP_SYS_CHROOT.</summary>
    public static void ChangeRoot(string folder)
    {
        Check(ChangeRootNative(folder), $"chroot {folder}");
        Check(ChangeFolderNative("/"), "chdir /");
    }

    /// <summary>Makes all threads this user and this group, without any other; all capabilities go with the last of the superuser's ids (capabilities(7)).</summary>
    public static void BecomeUser(uint id)
    {
        Check(SetGroupsNative(0, 0), "setgroups");
        Check(SetGroupNative(id, id, id), $"setresgid {id}");
        Check(SetUserNative(id, id, id), $"setresuid {id}");
    }

    /// <summary>No execve gives the calling thread more than it has; what <see cref="Seccomp"/> needs.</summary>
    public static void ForbidNewPrivileges() => Check(ControlNative(NoNewPrivileges, 1, 0, 0, 0), "prctl PR_SET_NO_NEW_PRIVS");

    private static void Check(int result, string call)
    {
        if (result < 0)
            throw LinuxException.FromLastError(call);
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUserNative();

    [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static partial int UnshareNative(int flags);

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MountNative(string source, string target, string? type, nuint flags, string? data);

    [LibraryImport("libc", EntryPoint = "chroot", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeRootNative(string path);

    [LibraryImport("libc", EntryPoint = "chdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ChangeFolderNative(string path);

    // glibc carries these three to all threads of the process.
    [LibraryImport("libc", EntryPoint = "setgroups", SetLastError = true)]
    private static partial int SetGroupsNative(nuint count, nint groups);

    [LibraryImport("libc", EntryPoint = "setresgid", SetLastError = true)]
    private static partial int SetGroupNative(uint real, uint effective, uint saved);

    [LibraryImport("libc", EntryPoint = "setresuid", SetLastError = true)]
    private static partial int SetUserNative(uint real, uint effective, uint saved);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int ControlNative(int option, nuint second, nuint third, nuint fourth, nuint fifth);
}
