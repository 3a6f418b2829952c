namespace Exitless.Vmm.Disks.Qcow2;

/// <summary>
/// Unpacks deflated data (RFC 1951) from one buffer into another, bounded by both and without allocating, since the data comes from an image that
/// nobody has checked.
/// </summary>
internal ref struct Inflater
{
    private const int MostBits = 15, MostLiterals = 288, MostDistances = 32;
    private readonly ReadOnlySpan<byte> _input;
    private readonly Span<byte> _output;
    private int _at, _written, _bits;
    private uint _held;
    private bool _failed;

    private Inflater(ReadOnlySpan<byte> input, Span<byte> output)
    {
        _input = input;
        _output = output;
    }

    private static ReadOnlySpan<ushort> LengthBase => [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];

    private static ReadOnlySpan<byte> LengthExtra => [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

    private static ReadOnlySpan<ushort> DistanceBase => [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];

    private static ReadOnlySpan<byte> DistanceExtra => [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

    private static ReadOnlySpan<byte> LengthOrder => [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

    /// <summary>Unpacks until the output is full.</summary>
    /// <returns>False if the input is no such data or ends before the output is full.</returns>
    public static bool TryInflate(ReadOnlySpan<byte> input, Span<byte> output)
    {
        var inflater = new Inflater(input, output);
        inflater.Run();
        return !inflater._failed && inflater._written == output.Length;
    }

    private void Run()
    {
        Span<byte> lengths = stackalloc byte[MostLiterals + MostDistances];
        Span<ushort> literalTable = stackalloc ushort[MostBits + 1 + MostLiterals];
        Span<ushort> distanceTable = stackalloc ushort[MostBits + 1 + MostDistances];
        for (var last = false; !last && !_failed && _written < _output.Length;)
        {
            last = Take(1) != 0;
            switch (Take(2))
            {
                case 0:
                    Store();
                    continue;
                case 1:
                    lengths[..144].Fill(8);
                    lengths[144..256].Fill(9);
                    lengths[256..280].Fill(7);
                    lengths[280..288].Fill(8);
                    Build(literalTable, lengths[..288]);
                    lengths[..30].Fill(5);
                    Build(distanceTable, lengths[..30]);
                    break;
                case 2:
                    ReadTables(lengths, literalTable, distanceTable);
                    break;
                default:
                    _failed = true;
                    return;
            }
            Expand(literalTable, distanceTable);
        }
    }

    private uint Take(int count)
    {
        while (_bits < count)
        {
            if (_at >= _input.Length)
            {
                _failed = true;
                return 0;
            }
            _held |= (uint)_input[_at++] << _bits;
            _bits += 8;
        }
        var value = _held & ((1u << count) - 1);
        _held >>= count;
        _bits -= count;
        return value;
    }

    private void Store()
    {
        (_held, _bits) = (0, 0);
        if (_input.Length - _at < 4)
        {
            _failed = true;
            return;
        }
        var length = _input[_at] | _input[_at + 1] << 8;
        var check = _input[_at + 2] | _input[_at + 3] << 8;
        _at += 4;
        if (length != (~check & 0xffff) || length > _input.Length - _at)
        {
            _failed = true;
            return;
        }
        var take = Math.Min(length, _output.Length - _written);
        _input.Slice(_at, take).CopyTo(_output[_written..]);
        _at += length;
        _written += take;
    }

    /// <summary>A canonical code: first how many codes each length has, then the symbols in the order of their codes.</summary>
    private void Build(scoped Span<ushort> table, scoped ReadOnlySpan<byte> lengths)
    {
        var counts = table[..(MostBits + 1)];
        counts.Clear();
        foreach (var length in lengths)
            counts[length]++;
        counts[0] = 0;
        Span<ushort> next = stackalloc ushort[MostBits + 2];
        var room = 1;
        for (var i = 1; i <= MostBits; i++)
        {
            next[i + 1] = (ushort)(next[i] + counts[i]);
            room = (room << 1) - counts[i];
            if (room < 0)
            {
                _failed = true;
                return;
            }
        }
        for (var symbol = 0; symbol < lengths.Length; symbol++)
        {
            if (lengths[symbol] != 0)
                table[MostBits + 1 + next[lengths[symbol]]++] = (ushort)symbol;
        }
    }

    private int Decode(scoped ReadOnlySpan<ushort> table)
    {
        int code = 0, first = 0, index = 0;
        for (var length = 1; length <= MostBits && !_failed; length++)
        {
            code |= (int)Take(1);
            var count = table[length];
            if (code - first < count)
                return table[MostBits + 1 + index + code - first];
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        _failed = true;
        return 0;
    }

    private void ReadTables(scoped Span<byte> lengths, scoped Span<ushort> literalTable, scoped Span<ushort> distanceTable)
    {
        var literals = (int)Take(5) + 257;
        var distances = (int)Take(5) + 1;
        var codes = (int)Take(4) + 4;
        if (_failed || literals > 286 || distances > 30)
        {
            _failed = true;
            return;
        }
        lengths[..19].Clear();
        for (var i = 0; i < codes; i++)
            lengths[LengthOrder[i]] = (byte)Take(3);
        Build(literalTable, lengths[..19]);
        for (var i = 0; i < literals + distances && !_failed;)
        {
            var symbol = Decode(literalTable);
            if (symbol < 16)
            {
                lengths[i++] = (byte)symbol;
                continue;
            }
            if (symbol == 16 && i == 0)
            {
                _failed = true;
                return;
            }
            var value = symbol == 16 ? lengths[i - 1] : (byte)0;
            var repeat = symbol switch { 16 => 3 + (int)Take(2), 17 => 3 + (int)Take(3), _ => 11 + (int)Take(7) };
            if (repeat > literals + distances - i)
            {
                _failed = true;
                return;
            }
            lengths.Slice(i, repeat).Fill(value);
            i += repeat;
        }
        if (_failed)
            return;
        Build(literalTable, lengths[..literals]);
        Build(distanceTable, lengths.Slice(literals, distances));
    }

    private void Expand(scoped ReadOnlySpan<ushort> literalTable, scoped ReadOnlySpan<ushort> distanceTable)
    {
        while (!_failed && _written < _output.Length)
        {
            var symbol = Decode(literalTable);
            if (_failed || symbol == 256)
                return;
            if (symbol < 256)
            {
                _output[_written++] = (byte)symbol;
                continue;
            }
            symbol -= 257;
            if (symbol >= LengthBase.Length)
            {
                _failed = true;
                return;
            }
            var length = LengthBase[symbol] + (int)Take(LengthExtra[symbol]);
            var code = Decode(distanceTable);
            if (_failed || code >= DistanceBase.Length)
            {
                _failed = true;
                return;
            }
            var distance = DistanceBase[code] + (int)Take(DistanceExtra[code]);
            if (_failed || distance > _written)
            {
                _failed = true;
                return;
            }
            // One by one, because a copy may overlap itself.
            for (length = Math.Min(length, _output.Length - _written); length > 0; length--, _written++)
                _output[_written] = _output[_written - distance];
        }
    }
}
