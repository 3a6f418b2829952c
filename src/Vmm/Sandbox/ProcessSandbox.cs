using Exitless.Linux;
using Exitless.Linux.Confinement;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Sandbox;

/// <summary>What a VMM process gives up before its guest runs, for good.</summary>
/// <param name="user">The user and group that it becomes; 0: it stays who it is, and keeps its root folder.</param>
/// <param name="emptyFolder">An empty folder, which becomes its root.</param>
internal sealed class ProcessSandbox(uint user, string emptyFolder)
{
    private bool _entered;
    private ProgramPages? _pages;

    /// <summary>Enters it; a second call does nothing. The machine must have been built: from now on nothing can be opened.</summary>
    /// <exception cref="VmmProblemException">sandbox-failed.</exception>
    public void Enter()
    {
        if (_entered)
            return;
        try
        {
            _pages ??= ProgramPages.Open();
            if (user != 0)
            {
                RaiseLockedMemory();
                Privileges.ChangeRoot(emptyFolder);
                Privileges.BecomeUser(user);
            }
            Privileges.ForbidNewPrivileges();
            if (!Landlock.RestrictThread())
                VmmLog.Write("This kernel has no Landlock; the other walls stand.");
            Seccomp.Install(SeccompFilter.Compile(AllowedCalls.Rules((uint)Environment.ProcessId)));
            _entered = true;
        }
        catch (LinuxException e)
        {
            throw new VmmProblemException("sandbox-failed", "The VM's process could not give up its privileges.", $"{e.Message}.",
                "Use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), and run the agent as root, or wholly without privileges.", innerException: e);
        }
    }

    /// <summary>Gives back the memory that building the machine took and running it does not: garbage, and pages of the program that only its start needed.</summary>
    public void Settle()
    {
        if (_pages is not { } pages)
            return;
        _pages = null;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        try
        {
            using (pages)
                pages.Drop();
        }
        catch (LinuxException e)
        {
            VmmLog.Write($"Pages of the VM's start stay: {e.Message}.");
        }
    }

    // A device that is plugged in later pins memory too, then without the superuser's privilege.
    private static void RaiseLockedMemory()
    {
        try
        {
            ResourceLimit.Set(LimitedResource.LockedMemory, new ResourceLimit(ResourceLimit.Unlimited, ResourceLimit.Unlimited));
        }
        catch (LinuxException e) when (e.Errno == Errno.NotPermitted)
        {
            // In a container without CAP_SYS_RESOURCE: as far as it may.
            var limit = ResourceLimit.Get(LimitedResource.LockedMemory);
            ResourceLimit.Set(LimitedResource.LockedMemory, limit with { Soft = limit.Hard });
        }
    }
}
