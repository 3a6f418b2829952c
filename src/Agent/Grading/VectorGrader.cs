namespace Exitless.Agent.Grading;

/// <summary>
/// Tells from a second's counts how a vector's interrupts were delivered. A posted interrupt never reaches VFIO's handler, so its line in /proc/interrupts
/// stands still while the guest counts; one that the host saw was injected, was passed on without an exit, or woke a halted vCPU, and KVM's statistics tell which.
/// </summary>
internal static class VectorGrader
{
    // Of a posted vector the host still sees those that come while its vCPU is being scheduled in or out.
    private const int SeenOfPosted = 50;

    /// <param name="host">Interrupts on the host's <c>vfio-msix</c> line in this second.</param>
    /// <param name="guest">What the guest itself says that it counted; null: nobody asked it. A guest that says less than the host saw is not believed.</param>
    /// <param name="allHost">Interrupts of all of the VM's vectors that the host saw.</param>
    /// <param name="vcpus">What KVM counted; null: this KVM lacks one of these statistics.</param>
    /// <param name="bypass">By what an interrupt can pass this host by: <see cref="VectorGrade.Posted"/>, or null where nothing can.</param>
    /// <param name="direct">What ELI did; by default nothing.</param>
    /// <param name="vectors">How many vectors the VM has in use.</param>
    public static VectorGrade Grade(long host, long? guest, long allHost, VcpuActivity? vcpus, VectorGrade? bypass, DirectActivity direct = default, int vectors = 0)
    {
        if (direct.IsOn)
            return GradeDirect(host, guest, allHost, vcpus, direct, vectors);
        if (guest is { } counted)
        {
            if (counted <= 0 && host <= 0)
                return VectorGrade.Idle;
            if (bypass is { } passed && host * SeenOfPosted <= counted)
                return passed;
        }
        if (host <= 0)
            return bypass is null || guest is not null ? VectorGrade.Idle : VectorGrade.UnknownSilent;
        if (vcpus is not { } activity)
            return VectorGrade.UnknownStatistics;
        // KVM puts nothing in by software while the APIC is virtualized: then an exit is one of the host's own CPU being interrupted.
        if (activity.Injections * 2 < allHost)
            return activity.InterruptExits * 2 >= allHost ? VectorGrade.UnknownCause : VectorGrade.Assisted;
        // Timers end halts too. So there must be halts enough for the interrupts, and the vCPUs must have been halted most of the time.
        return activity.Wakeups * 2 >= allHost && activity.HaltedMost ? VectorGrade.Woken : VectorGrade.Injected;
    }

    // The APIC is not virtualized where ELI is.
    private static VectorGrade GradeDirect(long host, long? guest, long allHost, VcpuActivity? vcpus, DirectActivity direct, int vectors)
    {
        if (guest is { } counted)
        {
            if (counted <= 0 && host <= 0)
                return VectorGrade.Idle;
            if (DirectActivity.IsUsual(host, counted))
                return VectorGrade.Direct;
        }
        // With a gate for every vector, and in direct mode, there is no other way in.
        if (host <= 0)
            return direct.IsWhole && direct.Vectors >= vectors ? VectorGrade.Direct : VectorGrade.UnknownSilent;
        // One that has a gate and was seen by the host was raised again. One that has none was injected.
        if (direct.IsWhole && direct.Resent * 2 >= allHost)
            return VectorGrade.Direct;
        if (vcpus is not { } activity)
            return VectorGrade.UnknownStatistics;
        return (activity.Injections + direct.Resent) * 2 >= allHost ? VectorGrade.Injected : VectorGrade.UnknownCause;
    }
}
