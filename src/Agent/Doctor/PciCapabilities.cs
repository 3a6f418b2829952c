using System.Buffers.Binary;

namespace Exitless.Agent.Doctor;

/// <summary>The kind of a PCI Express function's port (PCI Express Base Specification 7.5.3.2, Device/Port Type).</summary>
internal enum PciePort
{
    Endpoint = 0,
    LegacyEndpoint = 1,
    Root = 4,
    Upstream = 5,
    Downstream = 6,
    PciBridge = 7,
    Other = 15,
}

/// <summary>What the doctor asks of a function's configuration space.</summary>
/// <param name="Port">Null: conventional PCI, or a space that cannot be read.</param>
/// <param name="Acs">Access Control Services: capability in bits 15-0, control in bits 31-16 (7.7.11); null: the function has none.</param>
/// <param name="Extended">The extended space was readable: the kernel gives others than root 64 bytes only.</param>
internal sealed record PciCapabilities(PciePort? Port, uint? Acs, bool Extended)
{
    private const int ExpressId = 0x10, AcsId = 0x0d;

    /// <summary>Source validation, request redirect, completion redirect, upstream forwarding: what the kernel asks of a port that isolates (REQ_ACS_FLAGS).</summary>
    private const uint Isolating = 0x1d;

    /// <summary>Whether this port keeps what is below it apart. The kernel turns ACS on at boot, so the capability decides.</summary>
    public bool Isolates => ((Acs ?? 0) & Isolating) == Isolating;

    public static PciCapabilities Parse(ReadOnlySpan<byte> space)
    {
        PciePort? port = null;
        uint? acs = null;
        foreach (var (id, at) in Standard(space))
        {
            if (id == ExpressId && at + 4 <= space.Length)
            {
                var kind = space[at + 2] >> 4;
                port = Enum.IsDefined((PciePort)kind) ? (PciePort)kind : PciePort.Other;
            }
        }
        foreach (var (id, at) in Extensions(space))
        {
            if (id == AcsId && at + 8 <= space.Length)
                acs = BinaryPrimitives.ReadUInt32LittleEndian(space[(at + 4)..]);
        }
        return new PciCapabilities(port, acs, space.Length > 256);
    }

    /// <summary>
    /// The header, the chains of capabilities and the bodies of PCI Express and ACS; all else as zeroes: vital product data and the device serial number
    /// (in many devices: a MAC) are none of the doctor's business.
    /// </summary>
    public static byte[] Reduce(byte[] space)
    {
        var kept = new byte[space.Length > 256 ? 4096 : Math.Min(space.Length, 256)];
        void Keep(int at, int length) => space.AsSpan(at, Math.Min(length, Math.Min(space.Length, kept.Length) - at)).CopyTo(kept.AsSpan(at));
        Keep(0, 64);
        foreach (var (id, at) in Standard(space))
            Keep(at, id switch { ExpressId => 4, _ => 2 });
        foreach (var (id, at) in Extensions(space))
            Keep(at, id == AcsId ? 8 : 4);
        return kept;
    }

    // Chains come from a device: each step must go on within the space, and there are at most 48 and 960 of them.
    private static List<(int Id, int At)> Standard(ReadOnlySpan<byte> space)
    {
        var found = new List<(int, int)>();
        if (space.Length < 64 || (space[6] & 0x10) == 0)   // status: capabilities list
            return found;
        int at = space[0x34] & 0xfc;
        while (at >= 64 && at + 2 <= Math.Min(space.Length, 256) && found.Count < 48)
        {
            found.Add((space[at], at));
            at = space[at + 1] & 0xfc;
        }
        return found;
    }

    private static List<(int Id, int At)> Extensions(ReadOnlySpan<byte> space)
    {
        var found = new List<(int, int)>();
        var at = 256;
        while (at >= 256 && at + 4 <= space.Length && found.Count < 960)
        {
            var header = BinaryPrimitives.ReadUInt32LittleEndian(space[at..]);
            if (header is 0 or uint.MaxValue)
                break;
            found.Add(((int)(header & 0xffff), at));
            at = (int)(header >> 20) & 0xffc;
        }
        return found;
    }
}
