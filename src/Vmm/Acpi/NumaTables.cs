using System.Buffers.Binary;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Acpi;

/// <summary>Which vCPU and which memory belong together (SRAT), and how far apart the nodes are (SLIT); ACPI 6.5, sections 5.2.16 and 5.2.17. Bodies without headers.</summary>
internal static class NumaTables
{
    private const byte LocalApic = 0, Memory = 1, LocalX2Apic = 2;
    private const uint Enabled = 1;

    public static byte[] Srat(CpuTopology topology, GuestNodes nodes)
    {
        var body = new List<byte> { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
        for (var node = 0; node < nodes.Nodes.Count; node++)
        {
            foreach (var vcpu in nodes.Nodes[node].Vcpus.Order())
                body.AddRange(Processor((byte)node, topology.ApicId(vcpu)));
            foreach (var (address, bytes) in nodes.Nodes[node].Ranges)
                body.AddRange(Range((byte)node, address, bytes));
        }
        return [.. body];
    }

    public static byte[] Slit(GuestNodes nodes)
    {
        var count = nodes.Nodes.Count;
        var body = new byte[8 + (count * count)];
        BinaryPrimitives.WriteUInt64LittleEndian(body, (ulong)count);
        for (var a = 0; a < count; a++)
        {
            for (var b = 0; b < count; b++)
                body[8 + (a * count) + b] = nodes.Distances[a, b];
        }
        return body;
    }

    private static byte[] Processor(byte node, uint apicId)
    {
        if (apicId < 255)
            return [LocalApic, 16, node, (byte)apicId, (byte)Enabled, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        var entry = new byte[24];
        (entry[0], entry[1], entry[4], entry[12]) = (LocalX2Apic, 24, node, (byte)Enabled);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(8), apicId);
        return entry;
    }

    private static byte[] Range(byte node, ulong address, ulong bytes)
    {
        var entry = new byte[40];
        (entry[0], entry[1], entry[2]) = (Memory, 40, node);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), address);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(28), Enabled);
        return entry;
    }
}
