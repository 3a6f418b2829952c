using Exitless.Linux;
using Exitless.Linux.Procfs;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Machines;

/// <summary>A cgroup of its own for each VM's process, where the host has cgroup v2 (Documentation/admin-guide/cgroup-v2.rst): what stops the agent's cgroup does not reach the VM.</summary>
internal static class VmCgroup
{
    /// <summary>Moves a process into its VM's cgroup. Where that is not possible the process stays where it is, and runs as well.</summary>
    public static void Enter(HostRoot root, string vmId, int processId)
    {
        if (FolderOf(root, vmId) is not { } folder)
            return;
        try
        {
            Directory.CreateDirectory(folder);
            SysfsFile.Write(folder + "/cgroup.procs", processId.ToString());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A hierarchy that somebody else manages, or that is mounted read-only.
        }
    }

    public static void Remove(HostRoot root, string vmId)
    {
        if (FolderOf(root, vmId) is not { } folder || !Directory.Exists(folder))
            return;
        try
        {
            Directory.Delete(folder);   // a cgroup's files are no obstacle to rmdir(2)
        }
        catch (IOException)
        {
            // The process is not reaped yet; the next run of this VM uses the same cgroup.
        }
    }

    private static string? FolderOf(HostRoot root, string vmId)
    {
        var mount = MountTable.Read(root).FirstOrDefault(m => string.Equals(m.Type, "cgroup2", StringComparison.Ordinal));
        return mount is null ? null : Path.Combine(root.At(mount.MountPoint), "exitless", vmId);
    }
}
