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
/// of the nested page table and of the IOMMU's maps 2 MiB. Memory of huge pages from the host's pools is a file of theirs (memfd_create, MFD_HUGETLB). In smaps it is the one mapping with the flag <c>hg</c>.
/// </summary>
internal sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>The name in smaps of memory that is made of huge pages.</summary>
    public const string FileName = "exitless-guest-ram";

    private const ulong LargePage = 2 << 20;

    private readonly SafeFileHandle? _file;
    private readonly Mapping _mapping;
    private readonly List<RamRange> _ranges = [];

    /// <summary>Reserves address space. Ordinary pages come when they are touched first, unless they are to be there at once; huge ones are all taken now.</summary>
    /// <param name="bytes">Guest memory.</param>
    /// <param name="backing">What it is made of; null: ordinary pages.</param>
    /// <param name="nodes">Which parts are bound to which nodes of the host; null: none.</param>
    /// <exception cref="VmmProblemException">memory-not-available: the kernel refuses a mapping of that size, or does not have the pages. host-node-missing.</exception>
    public GuestMemory(ulong bytes, VmMemory? backing = null, GuestNodes? nodes = null)
    {
        var huge = backing?.PageBytes ?? 0;
        try
        {
            _file = huge > 0 ? MemoryFile.Create(FileName, (long)bytes, huge) : null;
            _mapping = _file is null ? Mapping.Anonymous(bytes, LargePage) : Mapping.Share(_file, 0, bytes, reserve: true);
        }
        catch (LinuxException e)
        {
            _file?.Dispose();
            throw NotAvailable(bytes, e, huge > 0 ? "Reserve more huge pages, or give the VM less memory." : "Give the VM less memory, or raise the limit of address space (RLIMIT_AS) of its process.");
        }
        try
        {
            Supply(_mapping, bytes, huge > 0 || (backing?.Prefault ?? false), nodes?.Nodes ?? []);
        }
        catch
        {
            Dispose();
            throw;
        }
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
    /// <param name="vm">The VM.</param>
    /// <param name="hole">Guest-physical addresses, below <see cref="LowBytes"/>, where something else lies; null: nothing.</param>
    /// <returns>The first free slot.</returns>
    public uint AddTo(KvmVm vm, (ulong Start, ulong End)? hole = null)
    {
        uint slot = 0;
        foreach (var range in _ranges)
        {
            var start = range.GuestAddress;
            if (hole is { } free && free.Start > start && free.End < start + range.Size)
            {
                vm.AddMemory(slot++, start, free.Start - start, range.HostAddress);
                start = free.End;
            }
            vm.AddMemory(slot++, start, range.GuestAddress + range.Size - start, range.HostAddress + (start - range.GuestAddress));
        }
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

    public void Dispose()
    {
        _mapping.Dispose();
        _file?.Dispose();
    }

    private static void Supply(Mapping mapping, ulong bytes, bool populate, IReadOnlyList<GuestNode> nodes)
    {
        mapping.AdviseForGuestMemory();
        foreach (var node in nodes)
        {
            if (node.HostNode is not { } number)
                continue;
            try
            {
                mapping.BindToNode(node.Offset, node.Bytes, number);
            }
            catch (LinuxException e)
            {
                throw new VmmProblemException("host-node-missing", "Guest memory cannot be bound to a NUMA node of the host.", $"{e.Message}.", "Name a node that has memory and is in the cpuset of the VM's process.", "memory.nodes", e);
            }
        }
        // In parts, so that nobody else waits for the address space's lock as long as all of it takes.
        const ulong part = 1UL << 30;
        for (ulong offset = 0; populate && offset < bytes; offset += part)
        {
            try
            {
                mapping.Populate(offset, Math.Min(part, bytes - offset));
            }
            catch (LinuxException e)
            {
                throw NotAvailable(bytes, e, "Give the VM less memory, or free some: its pages could not all be supplied at once, as was asked for.");
            }
        }
    }

    private static VmmProblemException NotAvailable(ulong bytes, LinuxException e, string remedy) =>
        new("memory-not-available", "The host cannot supply the VM's memory.", $"{bytes:#,0} bytes were asked for: {e.Message}.", remedy, "memoryBytes", e);
}
