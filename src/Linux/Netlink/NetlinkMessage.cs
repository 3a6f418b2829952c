using System.Buffers.Binary;

namespace Exitless.Linux.Netlink;

/// <summary>Builds a request (netlink(7), rtnetlink(7)) and walks the attributes of an answer. All numbers are in the machine's order, which is little-endian here.</summary>
internal sealed class NetlinkMessage
{
    public const int HeaderSize = 16;      // struct nlmsghdr
    private const ushort TypeMask = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    private readonly List<byte> _bytes = [];

    public NetlinkMessage(ushort type, ushort flags, ReadOnlySpan<byte> fixedPart)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        header.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], flags);
        _bytes.AddRange(header);
        _bytes.AddRange(fixedPart);
        Pad();
    }

    public NetlinkMessage Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        var start = Open(type);
        _bytes.AddRange(value);
        Close(start);
        return this;
    }

    public int Open(ushort type)
    {
        var start = _bytes.Count;
        _bytes.AddRange([0, 0, (byte)type, (byte)(type >> 8)]);
        return start;
    }

    public void Close(int start)
    {
        var length = _bytes.Count - start;
        _bytes[start] = (byte)length;
        _bytes[start + 1] = (byte)(length >> 8);
        Pad();
    }

    public byte[] ToArray()
    {
        var bytes = _bytes.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(bytes, bytes.Length);
        return bytes;
    }

    /// <summary>The message that answers a sequence number, in what one recv(2) gave.</summary>
    public static (ushort Type, int Start, int Length)? Find(ReadOnlySpan<byte> received, uint sequence)
    {
        var at = 0;
        while (at + HeaderSize <= received.Length)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(received[at..]);
            if (length < HeaderSize || at + length > received.Length)
                return null;
            if (BinaryPrimitives.ReadUInt32LittleEndian(received[(at + 8)..]) == sequence)
                return (BinaryPrimitives.ReadUInt16LittleEndian(received[(at + 4)..]), at, length);
            at += Align(length);
        }
        return null;
    }

    /// <summary>The first attribute of a type, or an empty span.</summary>
    public static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> attributes, ushort type)
    {
        foreach (var attribute in new Walk(attributes))
        {
            if (attribute.Type == type)
                return attribute.Value;
        }
        return default;
    }

    private void Pad()
    {
        while (_bytes.Count % 4 != 0)
            _bytes.Add(0);
    }

    private static int Align(int length) => (length + 3) & ~3;

    public readonly ref struct Attr(ushort type, ReadOnlySpan<byte> value)
    {
        public ushort Type { get; } = type;

        public ReadOnlySpan<byte> Value { get; } = value;
    }

    /// <summary>Walks attributes; stops at one whose length cannot be.</summary>
    public ref struct Walk(ReadOnlySpan<byte> rest)
    {
        private ReadOnlySpan<byte> _rest = rest;
        private ReadOnlySpan<byte> _value;
        private ushort _type;

        public readonly Attr Current => new(_type, _value);

        public readonly Walk GetEnumerator() => this;

        public bool MoveNext()
        {
            if (_rest.Length < 4)
                return false;
            var length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
            if (length < 4 || length > _rest.Length)
                return false;
            _type = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]) & TypeMask);
            _value = _rest[4..length];
            _rest = _rest[Math.Min(Align(length), _rest.Length)..];
            return true;
        }
    }
}
