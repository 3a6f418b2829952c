using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Memory;

/// <summary>One range of guest RAM.</summary>
/// <param name="GuestAddress">Guest-physical address.</param>
/// <param name="Size">Bytes.</param>
/// <param name="HostAddress">Where this process sees it.</param>
internal readonly record struct RamRange(ulong GuestAddress, ulong Size, ulong HostAddress);

/// <summary>
/// The guest's RAM below the PCI hole and, what does not fit, from 4 GiB on. It is private memory, because for a memory file the kernel has huge pages only where an
/// administrator allows them (Documentation/admin-guide/mm/transhuge.rst, shmem_enabled); its host and guest addresses agree in their lower 21 bits, so that one entry
/// of the nested page table and of the IOMMU's maps 2 MiB. In smaps it is the one mapping with the flag <c>hg</c>.
/// </summary>
internal sealed unsafe class GuestMemory : IDisposable
{
    private const ulong LargePage = 2 << 20;

    private readonly Mapping _mapping;
    private readonly List<RamRange> _ranges = [];

    /// <summary>Reserves address space; the kernel gives pages when they are touched first.</summary>
    /// <exception cref="VmmProblemException">memory-not-available: the kernel refuses a mapping of that size.</exception>
    public GuestMemory(ulong bytes)
    {
        try
        {
            _mapping = Mapping.Anonymous(bytes, LargePage);
        }
        catch (LinuxException e)
        {
            throw new VmmProblemException("memory-not-available", "The host cannot reserve the VM's memory.", $"{bytes:#,0} bytes were asked for: {e.Message}.",
                "Give the VM less memory, or raise the limit of address space (RLIMIT_AS) of its process.", "memoryBytes", e);
        }
        _mapping.AdviseForGuestMemory();
        var low = Math.Min(bytes, MemoryMap.PciHole);
        _ranges.Add(new RamRange(0, low, _mapping.Address));
        if (bytes > low)
            _ranges.Add(new RamRange(MemoryMap.FourGibibytes, bytes - low, _mapping.Address + low));
    }

    /// <summary>The ranges, lowest first.</summary>
    public IReadOnlyList<RamRange> Ranges => _ranges;

    /// <summary>RAM that lies below the PCI hole, in bytes.</summary>
    public ulong LowBytes => _ranges[0].Size;

    /// <summary>Gives all ranges to KVM, from slot 0 on.</summary>
    /// <returns>The first free slot.</returns>
    public uint AddTo(KvmVm vm)
    {
        uint slot = 0;
        foreach (var range in _ranges)
            vm.AddMemory(slot++, range.GuestAddress, range.Size, range.HostAddress);
        return slot;
    }

    /// <summary>A stretch of RAM below the PCI hole.</summary>
    public Span<byte> Slice(ulong guestAddress, int length)
    {
        if (guestAddress > LowBytes || (ulong)length > LowBytes - guestAddress)
            throw new ArgumentOutOfRangeException(nameof(guestAddress), $"0x{guestAddress:x} + {length:#,0} lies beyond the {LowBytes:#,0} bytes of low memory.");
        return new Span<byte>(_mapping.Pointer + guestAddress, length);
    }

    /// <summary>Reads a part of a file straight into RAM.</summary>
    public void Load(SafeFileHandle file, long fileOffset, ulong guestAddress, long length)
    {
        const int most = 1 << 30;
        for (long done = 0; done < length; done += most)
            Files.ReadExactlyAt(file, Slice(guestAddress + (ulong)done, (int)Math.Min(most, length - done)), fileOffset + done);
    }

    public void Dispose() => _mapping.Dispose();
}
