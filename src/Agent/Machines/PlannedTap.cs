using System.Text;
using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Machines;

/// <summary>A TAP interface that becomes a VM's network link. One that does not exist is made, and goes with the VM.</summary>
/// <param name="Name">The interface's name.</param>
/// <param name="Field">What named it, for problems.</param>
internal sealed record PlannedTap(string Name, string Field)
{
    private const int MostNameBytes = 15;

    /// <summary>Checks the name as the kernel does (dev_valid_name in net/core/dev.c), and that no other link has it.</summary>
    /// <exception cref="ProblemException">tap-name-invalid, tap-twice.</exception>
    public void Check(IEnumerable<PlannedTap> others)
    {
        // A percent sign would have the kernel choose a number.
        if (Name is "" or "." or ".." || Encoding.UTF8.GetByteCount(Name) > MostNameBytes || Name.Any(c => char.IsWhiteSpace(c) || c is '/' or ':' or '%' or '\0'))
        {
            throw new ProblemException("tap-name-invalid", "A network interface's name cannot be one",
                $"It is `{Name}`; a name has 1 to {MostNameBytes} bytes, and no space, slash, colon or percent sign.", "For instance guest0.", Field);
        }
        if (others.Any(o => string.Equals(o.Name, Name, StringComparison.Ordinal)))
            throw new ProblemException("tap-twice", "Two network links have the same interface", $"{Name} is in the list twice.", "Give each link an interface of its own.", Field);
    }

    /// <summary>Checks that the host can have such interfaces.</summary>
    /// <exception cref="ProblemException">no-tun.</exception>
    public static void CheckHost(HostRoot root)
    {
        if (!File.Exists(root.Dev("net/tun")))
            throw new ProblemException("no-tun", "The host has no TAP interfaces", $"{root.Dev("net/tun")} is missing.", "Load the kernel module (modprobe tun), or leave the VM's networks away.", "networks");
    }

    /// <summary>Opens it.</summary>
    /// <exception cref="ProblemException">tap-in-use, tap-not-one, tap-not-permitted.</exception>
    public SafeFileHandle Open(HostRoot root)
    {
        try
        {
            return Tap.Open(root.Dev("net/tun"), Name);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            throw new ProblemException("tap-in-use", "The network interface is in use", $"Another program has {Name} open.", "End that program, or choose another interface.", Field, e);
        }
        catch (LinuxException e) when (e.Errno == Errno.Invalid)
        {
            throw new ProblemException("tap-not-one", "The network interface is no TAP interface", $"{Name} exists and is of another kind, or has several queues.", "Choose another name.", Field, e);
        }
        catch (LinuxException e) when (e.Errno is Errno.NotPermitted or Errno.Access)
        {
            throw new ProblemException("tap-not-permitted", "The network interface may not be opened", $"{e.Message}.", "Run the agent as root, or make the interface for its user (ip tuntap add NAME mode tap user USER).", Field, e);
        }
    }
}
