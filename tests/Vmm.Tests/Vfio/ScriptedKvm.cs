using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>
/// KVM's side of interrupts and memory slots, as Documentation/virt/kvm/api.rst has it: it refuses what KVM refuses. What would harm a real host is written down in
/// <see cref="Violations"/>.
/// </summary>
internal sealed class ScriptedKvm(ScriptedDevice? device = null, ulong ramBytes = 0) : IGsiTable, IIrqfds, ILevelIrqfds, IMemorySlots
{
    private readonly Dictionary<int, EventFd> _irqfds = [];

    public List<string> Journal { get; } = device?.Journal ?? [];
    public List<string> Violations { get; } = device?.Violations ?? [];
    public KvmRoutingEntry[] Table { get; private set; } = [];

    /// <summary>How many tables KVM took.</summary>
    public int Tables { get; private set; }

    /// <summary>Pins of the IOAPIC with their two eventfds.</summary>
    public List<(int Gsi, EventFd Trigger, EventFd Resample)> Levels { get; } = [];

    public Dictionary<int, int> Delivered { get; } = [];
    public IReadOnlyDictionary<int, EventFd> Irqfds => _irqfds;
    public Dictionary<uint, (ulong Address, ulong Size)> Shown { get; } = [];
    public bool RefuseIrqfds { get; set; }
    public bool RefuseSlots { get; set; }

    /// <summary>Agrees to everything and writes nothing down.</summary>
    public bool Silent { get; set; }

    public bool TrySetRoutes(Span<byte> table)
    {
        if (Silent)
        {
            Tables++;
            return true;
        }
        return TakeTable(table);
    }

    // Apart, because its closures would allocate for a silent caller too.
    private bool TakeTable(Span<byte> table)
    {
        var count = BinaryPrimitives.ReadInt32LittleEndian(table);
        var entries = MemoryMarshal.Cast<byte, KvmRoutingEntry>(table[8..])[..count].ToArray();
        // With KVM_CAP_X2APIC_API, bits 7 to 0 of a message's high address are reserved.
        if (entries.Any(e => e.Type == KvmRoutingEntry.Msi && (e.AddressHigh & 0xff) != 0))
        {
            Marshal.SetLastPInvokeError(Errno.Invalid);
            return false;
        }
        Table = entries;
        Tables++;
        Journal.Add($"routes {entries.Count(e => e.Type == KvmRoutingEntry.Msi)}");
        foreach (var gsi in _irqfds.Keys.Where(gsi => entries.Count(e => e.Gsi == gsi) != 1))
            Violations.Add($"GSI {gsi} has an irqfd and not exactly one route.");
        return true;
    }

    public bool TryAssignIrqfd(EventFd trigger, int gsi)
    {
        if (Silent)
            return true;
        if (RefuseIrqfds || _irqfds.ContainsValue(trigger))
        {
            Marshal.SetLastPInvokeError(Errno.Busy);
            return false;
        }
        if (Routes(gsi) != 1)
            Violations.Add($"An irqfd came to GSI {gsi} before its route.");
        _irqfds.Add(gsi, trigger);
        Journal.Add($"assign {gsi}");
        Deliver();
        return true;
    }

    public bool TryAssignLevelIrqfd(EventFd trigger, EventFd resample, int gsi)
    {
        if (RefuseIrqfds)
        {
            Marshal.SetLastPInvokeError(Errno.Busy);
            return false;
        }
        Levels.Add((gsi, trigger, resample));
        Journal.Add($"level {gsi}");
        return true;
    }

    public bool TryDeassignIrqfd(EventFd trigger, int gsi)
    {
        if (Silent)
            return true;
        return Levels.Count > 0 ? EndLevel(trigger, gsi) : End(trigger, gsi);
    }

    private bool EndLevel(EventFd trigger, int gsi)
    {
        if (Levels.RemoveAll(l => l.Trigger == trigger && l.Gsi == gsi) == 0)
            return End(trigger, gsi);
        Journal.Add($"deassign {gsi}");
        return true;
    }

    private bool End(EventFd trigger, int gsi)
    {
        if (!_irqfds.TryGetValue(gsi, out var assigned) || assigned != trigger)
            Violations.Add($"An irqfd was taken away that GSI {gsi} does not have.");
        _irqfds.Remove(gsi);
        Journal.Add($"deassign {gsi}");
        return true;
    }

    /// <summary>What the kernel does when an eventfd with an irqfd is signalled.</summary>
    public void Deliver()
    {
        foreach (var (gsi, trigger) in _irqfds)
        {
            if (trigger.Take() > 0)
                Delivered[gsi] = Delivered.GetValueOrDefault(gsi) + 1;
        }
    }

    public bool TryAddMemory(uint slot, ulong guestAddress, ulong size, ulong hostAddress)
    {
        if (RefuseSlots || ((guestAddress | size | hostAddress) & 0xfff) != 0 || guestAddress + size < guestAddress || guestAddress < ramBytes
            || Shown.Values.Any(other => guestAddress < other.Address + other.Size && other.Address < guestAddress + size))
        {
            Marshal.SetLastPInvokeError(Errno.Exists);
            return false;
        }
        if (device is { Answers: false })
            Violations.Add("The guest could reach a BAR of a device that does not answer.");
        Shown.Add(slot, (guestAddress, size));
        Journal.Add($"show {guestAddress:x}+{size:x}");
        Count();
        return true;
    }

    public void RemoveMemory(uint slot)
    {
        // KVM refuses to remove what is not there, which does no harm.
        if (Shown.Remove(slot, out var piece))
            Journal.Add($"hide {piece.Address:x}");
        Count();
    }

    private int Routes(int gsi) => Table.Count(e => e.Gsi == gsi);

    private void Count()
    {
        if (device is not null)
            device.ShownPieces = Shown.Count;
    }
}
