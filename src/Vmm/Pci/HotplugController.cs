using Exitless.Vmm.Devices;

namespace Exitless.Vmm.Pci;

/// <summary>
/// The registers by which guest and VMM talk of slots that change, 32 bits each, a bit for each slot: +0 slots that have a new device, +4 slots whose device the guest
/// should give back (both are empty once read), +8 slots that the guest gives back (written). <see cref="Acpi.PciHotplug"/> is what the guest runs. Allocates nothing.
/// </summary>
/// <param name="interrupt">Tells the guest to look.</param>
/// <param name="ejected">Takes the slots that the guest has given back; called on a vCPU's thread.</param>
internal sealed class HotplugController(Action interrupt, Action<uint> ejected) : IPortDevice
{
    public const ushort Port = 0x610;
    public const int Ports = 12;

    private uint _plugged;
    private uint _wanted;

    /// <summary>The guest has a new device.</summary>
    public void Announce(int slot)
    {
        Interlocked.Or(ref _plugged, 1u << slot);
        interrupt();
    }

    /// <summary>The guest is asked to give a device back.</summary>
    public void AskBack(int slot)
    {
        Interlocked.Or(ref _wanted, 1u << slot);
        interrupt();
    }

    /// <summary>The slot is empty: what the guest has not read yet does not matter any more.</summary>
    public void Forget(int slot)
    {
        Interlocked.And(ref _plugged, ~(1u << slot));
        Interlocked.And(ref _wanted, ~(1u << slot));
    }

    public uint ReadPort(int offset, int size) => (offset, size) switch
    {
        (0, 4) => Interlocked.Exchange(ref _plugged, 0),
        (4, 4) => Interlocked.Exchange(ref _wanted, 0),
        (8, 4) => 0,
        _ => uint.MaxValue,
    };

    public void WritePort(int offset, int size, uint value)
    {
        if (offset == 8 && size == 4)
            ejected(value);
    }
}
