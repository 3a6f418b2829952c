namespace Exitless.Vmm.Devices;

/// <summary>A device on the port I/O bus. Guest input never throws and allocates nothing. Several vCPUs may come at once: a device guards itself.</summary>
internal interface IPortDevice
{
    /// <summary>Reads 1, 2 or 4 bytes.</summary>
    /// <param name="offset">From the device's first port.</param>
    /// <param name="size">Bytes.</param>
    uint ReadPort(int offset, int size);

    /// <summary>Writes 1, 2 or 4 bytes.</summary>
    void WritePort(int offset, int size, uint value);
}
