namespace Exitless.Vmm.Sandbox;

/// <summary>
/// Every system call that a VMM with a running guest needs: its own, and those of the C library and of the .NET runtime (threads, garbage collector, sockets). None opens,
/// makes or finds anything by name, starts a program, looks into another process, or makes memory executable.
/// </summary>
internal static class AllowedCalls
{
    private const uint Executable = 4;
    private const uint IoctlType = 0xff00, Kvm = 0xae00, Vfio = 0x3b00;
    private const uint SetTapOffloads = 0x400454d0;
    private const uint Thread = 0x10000, NamespacesAndVfork = 0x7e024000;

    /// <summary>The rules, those of the exit path first.</summary>
    /// <param name="processId">The only process that may be sent a signal: this one.</param>
    public static CallRule[] Rules(uint processId) =>
    [
        new(16, new ArgumentCondition(1, IoctlType, Kvm, Vfio) { Exactly = [SetTapOffloads] }),   // ioctl: KVM, VFIO, iommufd; what the guest's network driver can do itself
        .. All(202, 0, 1, 17, 18, 19, 20, 295, 296, 327, 328),            // futex; read, write, their pread and vector kin
        .. All(232, 281, 233, 291, 7, 271, 290),                          // epoll, poll, eventfd2
        .. All(46, 47, 44, 45, 288, 48, 51, 52, 54, 55),                  // sendmsg, recvmsg, sendto, recvfrom, accept4, shutdown, socket's names and options
        new(9, ArgumentCondition.Without(2, Executable)),                 // mmap
        new(10, ArgumentCondition.Without(2, Executable)),                // mprotect
        .. All(11, 12, 25, 28),                                           // munmap, brk, mremap, madvise
        .. All(13, 14, 15, 127, 128, 131),                                // signals of this thread
        new(234, ArgumentCondition.Is(0, processId)),                     // tgkill
        new(56, new ArgumentCondition(0, Thread | NamespacesAndVfork, Thread)),   // clone: threads
        .. All(218, 273, 274, 334, 186, 39, 24, 203, 204, 309, 324),      // what a thread asks of and for itself
        new(157, ArgumentCondition.Is(0, 15, 16)),                        // prctl: a thread's name
        .. All(228, 229, 230, 35, 96, 219, 283, 286),                     // clocks and timers
        .. All(3, 436, 32, 292, 293, 72, 5, 262, 8, 74, 75, 77, 285),     // close, dup, pipe2, fcntl; fstat, lseek, fsync, ftruncate, fallocate of what is open
        .. All(318, 99, 98, 63, 102, 104, 107, 108),                      // getrandom, sysinfo, getrusage, uname, ids
        new(302, ArgumentCondition.Is(0, 0)),                             // prlimit64 of itself
        new(97),                                                          // getrlimit
        .. All(60, 231),                                                  // exit
    ];

    /// <summary>clone3, whose flags a filter cannot see: with ENOSYS the C library falls back to clone.</summary>
    public const uint AbsentCall = 435;

    private static IEnumerable<CallRule> All(params uint[] numbers) => numbers.Select(n => new CallRule(n));
}
