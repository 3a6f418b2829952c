using System.Collections.Concurrent;
using Exitless.Vmm.Control;
using Exitless.Vmm.Vfio;

namespace Exitless.Vmm.Tests.Vfio;

/// <summary>A DMA space whose devices are scripted, and that knows who is in.</summary>
internal sealed class ScriptedSpace : IDmaSpace
{
    private readonly Lock _gate = new();

    /// <summary>Changes a device before it is opened.</summary>
    public Action<string, ScriptedDevice> Prepare { get; set; } = (_, _) => { };

    /// <summary>Runs while a device is being opened.</summary>
    public Action<string> Opening { get; set; } = _ => { };

    public List<string> Inside { get; } = [];
    public ConcurrentDictionary<string, ScriptedDevice> Opened { get; } = new();
    public int PeerMappings { get; private set; }
    public IovaRanges Ranges { get; } = new([(0, 0xffff_ffff_ffff)]);
    public long? MappingsLeft => null;

    public void Join(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        lock (_gate)
            Inside.AddRange(devices.Select(d => d.Address));
    }

    public IVfioDevice Open(VfioDeviceConfig device, string field)
    {
        Opening(device.Address);
        var hardware = new ScriptedDevice();
        Prepare(device.Address, hardware);
        Opened[device.Address] = hardware;
        return hardware;
    }

    public void Leave(VfioDeviceConfig device)
    {
        lock (_gate)
            Assert.True(Inside.Remove(device.Address));
    }

    public bool TryMap(ulong guestAddress, ulong size, ulong hostAddress)
    {
        PeerMappings++;
        return true;
    }

    public void Unmap(ulong guestAddress, ulong size) => PeerMappings--;

    public void Dispose()
    {
    }
}
