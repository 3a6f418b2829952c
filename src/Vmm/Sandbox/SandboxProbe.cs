using Exitless.Linux;
using Exitless.Linux.Confinement;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Sandbox;

/// <summary>Tries from inside what the sandbox refuses. Where it did not, nothing would come of any try.</summary>
internal static unsafe class SandboxProbe
{
    private const int Read = 1, Write = 2, Execute = 4, PrivateAnonymous = 0x22, Page = 4096;

    // Without a sandbox each call fails for a reason of its own or does nothing: an empty path, no such process, flags that exclude each other.
    /// <summary>Makes each call once, on the calling thread.</summary>
    public static List<SandboxAttempt> Run()
    {
        var none = stackalloc byte[1];
        none[0] = 0;
        var path = stackalloc byte[2];
        (path[0], path[1]) = ((byte)'/', 0);
        return
        [
            Descriptor("open", 257, -100, (nint)path),
            Descriptor("socket inet", 41, 2, 1),
            Descriptor("socket unix", 41, 1, 1),
            Descriptor("memfd_create", 319, (nint)none),
            Call("ptrace", 101, 2, -1),
            Call("execve", 59, (nint)none),
            Call("kill", 62, Environment.ProcessId),
            Call("unshare", 272),
            Call("mount", 165, (nint)none, (nint)none),
            Call("process_vm_readv", 310, -1),
            Call("bpf", 321, -1),
            Call("io_uring_setup", 425),
            Call("clone into namespaces", 56, 0x20200),
            Mapping("mmap executable", Read | Write | Execute, 0),
            Mapping("mprotect executable", Read | Write, Read | Execute),
        ];
    }

    private static SandboxAttempt Call(string name, nint number, nint first = 0, nint second = 0) => new(name, Error(RawSystemCall.Try(number, first, second)));

    private static SandboxAttempt Descriptor(string name, nint number, nint first, nint second = 0)
    {
        var result = RawSystemCall.Try(number, first, second);
        if (result >= 0)
            Files.Own((int)result).Dispose();
        return new SandboxAttempt(name, Error(result));
    }

    private static SandboxAttempt Mapping(string name, nint protection, nint later)
    {
        const nint mmap = 9, mprotect = 10, munmap = 11;
        var address = RawSystemCall.Try(mmap, 0, Page, protection, PrivateAnonymous, -1);
        if (address is < 0 and > -Page)
            return new SandboxAttempt(name, (int)-address);
        var changed = later == 0 ? 0 : RawSystemCall.Try(mprotect, address, Page, later);
        _ = RawSystemCall.Try(munmap, address, Page);
        return new SandboxAttempt(name, Error(changed));
    }

    private static int Error(nint result) => result < 0 ? (int)-result : 0;
}
