using System.Numerics;
using Exitless.Linux;
using Exitless.Linux.Vfio;
using Exitless.Vmm.Interrupts;

namespace Exitless.Vmm.Vfio;

/// <summary>
/// The MSI vectors of an assigned device: up to 32, all with the same address, and data that differ in their low bits (PCI Local Bus Specification 3.0,
/// section 6.8.1). The host gives them all at once or not at all.
/// </summary>
internal sealed class MsiVectors(IVfioDevice device, IIrqfds kvm, GsiRoutes routes, int most, Action<string> complain) : IDisposable
{
    private readonly VectorPath?[] _paths = new VectorPath?[most];
    private int _count;

    /// <summary>What the guest enabled in vain.</summary>
    public VectorRefusals Refusals { get; } = new(most);

    /// <summary>How many vectors the device has.</summary>
    public int Most => most;

    /// <summary>How many the guest has and the host gave.</summary>
    public int Count { get; private set; }

    public int Gsi(int vector) => _paths[vector]?.Gsi ?? 0;

    /// <summary>Opens vectors for the guest.</summary>
    /// <param name="count">How many, a power of two.</param>
    /// <param name="address">The message's address.</param>
    /// <param name="data">The first vector's data; the others' differ in the low bits.</param>
    public void Enable(int count, ulong address, uint data)
    {
        _count = Math.Min(count, most);
        for (var i = 0; i < _count; i++)
        {
            if ((_paths[i] = VectorPath.TryMake(kvm, routes, out var limit)) is null)
            {
                Refuse(i, limit, 0, 0);
                _count = i == 0 ? 0 : 1 << BitOperations.Log2((uint)i);
                break;
            }
        }
        if (_count == 0 || !TryRoute(address, data))
            return;
        Count = OnHost(_count);
        for (var i = 0; i < Count; i++)
            TryAssign(i);
    }

    /// <summary>The guest has changed the message.</summary>
    public void Update(ulong address, uint data)
    {
        if (!TryRoute(address, data))
            return;
        for (var i = 0; i < Count; i++)
            TryAssign(i);
    }

    public void Disable()
    {
        foreach (var path in _paths)
            path?.Deassign();
        if (Count > 0)
            device.Disable(VfioInterrupt.Msi);
        (Count, _count) = (0, 0);
        VectorPath.Release(_paths, routes);
        Refusals.Clear();
    }

    public void Dispose() => Disable();

    private bool TryRoute(ulong address, uint data)
    {
        var low = (uint)_count - 1;
        for (var i = 0; i < _count; i++)
        {
            if (_paths[i] is not { } path || routes.TryRoute(path.Gsi, address, (data & ~low) | (uint)i))
                continue;
            var error = Ioctl.LastError;
            foreach (var other in _paths)
                other?.Deassign();
            Refuse(i, VectorLimit.Message, error, 0);
            return false;
        }
        return true;
    }

    /// <summary>A host that has fewer gives those: the device then folds its messages onto them, and the guest has handlers for all.</summary>
    /// <returns>How many the device uses now.</returns>
    private int OnHost(int count)
    {
        Span<EventFd?> triggers = new EventFd?[count];
        for (var i = 0; i < count; i++)
            triggers[i] = _paths[i]?.Trigger;
        for (var wanted = count; wanted > 0; wanted /= 2)
        {
            var result = device.TrySetTriggers(VfioInterrupt.Msi, 0, triggers[..wanted]);
            if (result == 0)
                return wanted;
            var error = result < 0 ? Ioctl.LastError : 0;
            for (var i = wanted / 2; i < wanted; i++)
                Refuse(i, VectorLimit.Host, error, Math.Max(result, 0));
        }
        return 0;
    }

    private void TryAssign(int vector)
    {
        if (_paths[vector] is not { } path)
            return;
        if (path.TryAssign())
            Refusals.Remove(vector);
        else
            Refuse(vector, VectorLimit.Irqfd, Ioctl.LastError, 0);
    }

    private void Refuse(int vector, VectorLimit limit, int error, int available)
    {
        if (Refusals.Add(vector, limit, error, available, Count))
            complain($"MSI vector {vector} does not work: {Refusals.Reason}.");
    }
}
