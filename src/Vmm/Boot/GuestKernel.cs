using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot;

/// <summary>A guest's kernel that this version can start: what it needs, how it is loaded, and how it is entered.</summary>
internal abstract class GuestKernel
{
    /// <summary>Where its lowest byte is loaded.</summary>
    public abstract ulong LoadAddress { get; }

    /// <summary>How much memory it needs from there until it can read the memory map.</summary>
    public abstract ulong InitBytes { get; }

    /// <summary>The longest command line, without the final zero.</summary>
    public abstract int CommandLineLimit { get; }

    /// <summary>The highest address that an initrd's last byte may have.</summary>
    public abstract ulong InitrdLimit { get; }

    /// <summary>Reads and checks a kernel's file: a bzImage, or an ELF file with the entry of PVH.</summary>
    /// <exception cref="VmmProblemException">See <see cref="BzImage.Parse"/> and <see cref="PvhKernel.Read"/>.</exception>
    public static GuestKernel Read(SafeFileHandle file)
    {
        Span<byte> magic = stackalloc byte[4];
        return new BootFile(file, "kernel").ReadHead(magic) == magic.Length && magic.SequenceEqual("\u007fELF"u8) ? PvhKernel.Read(file) : BzImage.Read(file);
    }

    /// <summary>Loads the kernel and writes its boot parameters: where command line, initrd, memory and ACPI tables are.</summary>
    /// <exception cref="VmmProblemException">The file cannot be read any more, see <see cref="BootFile.Load"/>.</exception>
    public abstract void Load(GuestMemory memory, BootFile file, BootPlan plan);

    /// <summary>Points the boot vCPU at the kernel's entry.</summary>
    public abstract void Enter(KvmVcpu vcpu);
}
