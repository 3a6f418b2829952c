namespace Exitless.Vmm.Control;

/// <summary>The assigned devices of a running VM. Members may be called from any thread.</summary>
internal interface IMachineDevices
{
    /// <summary>Plugs devices into the guest. Takes as long as their reset, and for the first device as long as pinning all memory.</summary>
    /// <exception cref="VmmProblemException">They cannot be assigned; nothing has changed.</exception>
    void Attach(IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors);

    /// <summary>Asks the guest to give a device back, together with the other functions in its slot.</summary>
    /// <param name="address">Its address on the host.</param>
    /// <param name="limit">After this it is taken away.</param>
    /// <param name="released">Called, from any thread, when it is released.</param>
    /// <exception cref="VmmProblemException">device-not-assigned.</exception>
    void Detach(string address, TimeSpan limit, Action released);

    /// <summary>Throws the switch between the best path and injection, for all devices, one device, or one vector.</summary>
    /// <exception cref="VmmProblemException">device-not-assigned, vector-not-in-use, switch-failed.</exception>
    void Switch(SwitchRequest request);

    /// <summary>The next thing that happened to a device; null if there is none.</summary>
    VmmDeviceEvent? TakeEvent();
}
