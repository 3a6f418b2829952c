using System.Buffers.Binary;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>What a packet asks for (virtio 1.2, section 5.10.6).</summary>
internal enum VsockOperation : ushort
{
    /// <summary>A connection.</summary>
    Request = 1,

    /// <summary>The connection is accepted.</summary>
    Response = 2,

    /// <summary>There is no such connection (any more).</summary>
    Reset = 3,

    /// <summary>No more will be sent or received.</summary>
    Shutdown = 4,

    /// <summary>Data.</summary>
    Data = 5,

    /// <summary>How much room the sender has.</summary>
    CreditUpdate = 6,

    /// <summary>How much room has the receiver?</summary>
    CreditRequest = 7,
}

/// <summary>The header of every packet, 44 bytes.</summary>
internal readonly record struct VsockHeader
{
    public const int Bytes = 44;

    /// <summary>The type of stream sockets.</summary>
    public const ushort Stream = 1;

    /// <summary>Flags of <see cref="VsockOperation.Shutdown"/>.</summary>
    public const uint EndsReceiving = 1, EndsSending = 2;

    public ulong SourceCid { get; init; }

    public ulong TargetCid { get; init; }

    public uint SourcePort { get; init; }

    public uint TargetPort { get; init; }

    /// <summary>Bytes of data behind the header.</summary>
    public uint Length { get; init; }

    public ushort Type { get; init; }

    public VsockOperation Operation { get; init; }

    public uint Flags { get; init; }

    /// <summary>How many bytes the sender takes in all before its reader has had some.</summary>
    public uint Room { get; init; }

    /// <summary>How many bytes its reader has had so far; goes round at 2^32.</summary>
    public uint Forwarded { get; init; }

    public static VsockHeader Read(ReadOnlySpan<byte> from) => new()
    {
        SourceCid = BinaryPrimitives.ReadUInt64LittleEndian(from),
        TargetCid = BinaryPrimitives.ReadUInt64LittleEndian(from[8..]),
        SourcePort = BinaryPrimitives.ReadUInt32LittleEndian(from[16..]),
        TargetPort = BinaryPrimitives.ReadUInt32LittleEndian(from[20..]),
        Length = BinaryPrimitives.ReadUInt32LittleEndian(from[24..]),
        Type = BinaryPrimitives.ReadUInt16LittleEndian(from[28..]),
        Operation = (VsockOperation)BinaryPrimitives.ReadUInt16LittleEndian(from[30..]),
        Flags = BinaryPrimitives.ReadUInt32LittleEndian(from[32..]),
        Room = BinaryPrimitives.ReadUInt32LittleEndian(from[36..]),
        Forwarded = BinaryPrimitives.ReadUInt32LittleEndian(from[40..]),
    };

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(to, SourceCid);
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], TargetCid);
        BinaryPrimitives.WriteUInt32LittleEndian(to[16..], SourcePort);
        BinaryPrimitives.WriteUInt32LittleEndian(to[20..], TargetPort);
        BinaryPrimitives.WriteUInt32LittleEndian(to[24..], Length);
        BinaryPrimitives.WriteUInt16LittleEndian(to[28..], Type);
        BinaryPrimitives.WriteUInt16LittleEndian(to[30..], (ushort)Operation);
        BinaryPrimitives.WriteUInt32LittleEndian(to[32..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(to[36..], Room);
        BinaryPrimitives.WriteUInt32LittleEndian(to[40..], Forwarded);
    }
}
