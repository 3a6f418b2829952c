using System.Buffers.Binary;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Acpi;

/// <summary>The ACPI tables of a hardware-reduced machine (ACPI 6.5, sections 4.1 and 5.2), laid out from <see cref="MemoryMap.AcpiTables"/> on, the RSDP first.</summary>
internal sealed class AcpiTables
{
    private const int HeaderBytes = 36;
    private readonly List<byte> _image = [];

    /// <summary>Makes the tables.</summary>
    /// <param name="topology">The vCPUs and their APIC ids.</param>
    /// <param name="mmio64">The window for BARs above 4 GiB; null for none.</param>
    /// <param name="nodes">The guest's NUMA nodes; it is told of them if they are two or more.</param>
    /// <exception cref="VmmProblemException">too-many-vcpus: the tables outgrow their area.</exception>
    public AcpiTables(CpuTopology topology, (ulong Start, ulong End)? mmio64, GuestNodes? nodes = null)
    {
        _image.AddRange(new byte[64]);
        var dsdt = Add("DSDT", 2, Dsdt.Body(mmio64));
        List<ulong> tables = [Add("FACP", 6, Fadt(dsdt)), Add("APIC", 5, Madt(topology)), Add("MCFG", 1, Mcfg())];
        if (nodes?.Nodes.Count > 1)
            tables.AddRange([Add("SRAT", 3, NumaTables.Srat(topology, nodes)), Add("SLIT", 1, NumaTables.Slit(nodes))]);
        var pointers = new byte[tables.Count * 8];
        for (var i = 0; i < tables.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(pointers.AsSpan(i * 8), tables[i]);
        var xsdt = Add("XSDT", 1, pointers);
        Image = [.. _image];
        Rsdp(Image, xsdt);
        if (MemoryMap.AcpiTables + (ulong)Image.Length > MemoryMap.AcpiTablesEnd)
        {
            throw new VmmProblemException("too-many-vcpus", "The VM has too many vCPUs.",
                $"The ACPI tables of {topology.Count:#,0} vCPUs have {Image.Length:#,0} bytes; there is room for {MemoryMap.AcpiTablesEnd - MemoryMap.AcpiTables:#,0}.", "Give the VM fewer vCPUs.", "vcpus");
        }
    }

    /// <summary>The bytes, for <see cref="MemoryMap.AcpiTables"/>.</summary>
    public byte[] Image { get; }

    private ulong Add(string signature, byte revision, byte[] body)
    {
        while (_image.Count % 16 != 0)
            _image.Add(0);
        var address = MemoryMap.AcpiTables + (ulong)_image.Count;
        var table = new byte[HeaderBytes + body.Length];
        Ascii(table, signature);
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(4), table.Length);
        table[8] = revision;
        Ascii(table.AsSpan(10), "EXITLS");
        Ascii(table.AsSpan(16), "EXITLESS");
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(24), 1);
        Ascii(table.AsSpan(28), "EXIT");
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(32), 1);
        body.CopyTo(table.AsSpan(HeaderBytes));
        table[9] = Checksum(table);
        _image.AddRange(table);
        return address;
    }

    private static byte[] Fadt(ulong dsdt)
    {
        const uint wbinvd = 1, powerButtonIsDevice = 1 << 4, noSleepButton = 1 << 5, timer32 = 1 << 8, resetRegister = 1 << 10, hardwareReduced = 1 << 20;
        const ushort noVga = 1 << 2, noCmosClock = 1 << 5;
        var table = new byte[276 - HeaderBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(At(40), (uint)dsdt);
        At(45)[0] = 4;
        BinaryPrimitives.WriteUInt16LittleEndian(At(109), noVga | noCmosClock);
        BinaryPrimitives.WriteUInt32LittleEndian(At(112), wbinvd | powerButtonIsDevice | noSleepButton | timer32 | resetRegister | hardwareReduced);
        PortRegister(At(116), ResetControl.Port);
        At(128)[0] = ResetControl.FullReset;
        At(131)[0] = 5;
        BinaryPrimitives.WriteUInt64LittleEndian(At(140), dsdt);
        PortRegister(At(244), AcpiSleep.ControlPort);
        PortRegister(At(256), AcpiSleep.StatusPort);
        return table;

        Span<byte> At(int offset) => table.AsSpan(offset - HeaderBytes);
    }

    private static byte[] Madt(CpuTopology topology)
    {
        var table = new List<byte>(new byte[8]);
        BinaryPrimitives.WriteUInt32LittleEndian(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(table), (uint)MemoryMap.LocalApic);
        for (var vcpu = 0; vcpu < topology.Count; vcpu++)
            table.AddRange(LocalApic((uint)vcpu, topology.ApicId(vcpu)));
        table.AddRange([1, 12, 0, 0, .. Little32((uint)MemoryMap.IoApic), .. Little32(0)]);
        // ISA interrupt 4 is GSI 4, edge, active high: said aloud, because without a PIC Linux takes nothing for granted.
        table.AddRange([2, 10, 0, Dsdt.SerialGsi, .. Little32(Dsdt.SerialGsi), 0, 0]);
        return [.. table];
    }

    /// <summary>A local APIC, or beyond 254 an x2APIC: 255 addresses all.</summary>
    private static byte[] LocalApic(uint processor, uint id) =>
        id < 255 && processor < 255 ? [0, 8, (byte)processor, (byte)id, .. Little32(1)] : [9, 16, 0, 0, .. Little32(id), .. Little32(1), .. Little32(processor)];

    private static byte[] Mcfg() => [.. new byte[8], .. Little32((uint)MemoryMap.Ecam), .. Little32(0), 0, 0, 0, 0, .. Little32(0)];

    private static void Rsdp(Span<byte> image, ulong xsdt)
    {
        Ascii(image, "RSD PTR ");
        Ascii(image[9..], "EXITLS");
        image[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(image[20..], HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(image[24..], xsdt);
        image[8] = Checksum(image[..20]);
        image[32] = Checksum(image[..36]);
    }

    /// <summary>A generic address structure: one byte at an I/O port.</summary>
    private static void PortRegister(Span<byte> register, ushort port)
    {
        (register[0], register[1], register[3]) = (1, 8, 1);
        BinaryPrimitives.WriteUInt64LittleEndian(register[4..], port);
    }

    private static byte[] Little32(uint value) => [(byte)value, (byte)(value >> 8), (byte)(value >> 16), (byte)(value >> 24)];

    private static void Ascii(Span<byte> bytes, string text) => System.Text.Encoding.ASCII.GetBytes(text, bytes);

    private static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (var value in bytes)
            sum += value;
        return (byte)-sum;
    }
}
