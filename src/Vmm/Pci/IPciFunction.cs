namespace Exitless.Vmm.Pci;

/// <summary>A PCI function on the guest's bus. Guest input never throws and allocates nothing. Several vCPUs may come at once: a function guards itself.</summary>
internal interface IPciFunction
{
    /// <summary>Reads 1, 2 or 4 bytes of configuration space that do not cross a dword.</summary>
    uint ReadConfig(int offset, int size);

    /// <summary>Writes 1, 2 or 4 bytes of configuration space that do not cross a dword.</summary>
    void WriteConfig(int offset, int size, uint value);

    /// <summary>Reads 1, 2, 4 or 8 bytes of a BAR that no memslot covers; false if the address is none of this function's.</summary>
    bool TryReadMemory(ulong address, int size, out ulong value);

    /// <summary>Writes 1, 2, 4 or 8 bytes of a BAR; false if the address is none of this function's.</summary>
    bool TryWriteMemory(ulong address, int size, ulong value);

    /// <summary>Reads 1, 2 or 4 bytes of an I/O BAR; false if the port is none of this function's.</summary>
    bool TryReadPort(ushort port, int size, out uint value)
    {
        value = uint.MaxValue;
        return false;
    }

    /// <summary>Writes 1, 2 or 4 bytes of an I/O BAR; false if the port is none of this function's.</summary>
    bool TryWritePort(ushort port, int size, uint value) => false;

    /// <summary>Puts the function back as it was when the guest was switched on: no DMA, no interrupts, BARs at their first places. All vCPUs wait meanwhile; it may take long.</summary>
    void Reset();
}
