using System.Buffers.Binary;
using System.Text.Json;
using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests.Control;

/// <summary>Anything on the control socket: a stream is cut into frames, waits for more, or is refused as one of a stranger's; a configuration is read or refused.</summary>
public sealed class FrameFuzzTests : IDisposable
{
    private const long MostBytes = 4 << 20;
    private const int MostSent = 8 << 10;
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;

    // Whole frames, broken ones and noise, one after another, cut anywhere.
    private static readonly Gen<(byte[] Bytes, int Cut)> Streams = Gen.Select(
        Gen.Select(Gen.Int[0, 5], Gen.UShort, Gen.UInt, Gen.Byte.Array[0, 300]).Select((kind, word, number, payload) => kind switch
        {
            0 => payload,
            1 => Header(number, word, 0, number),
            2 => Header((uint)payload.Length, word, word, number),
            _ => new Frame((FrameKind)(word % 100), number, payload).Encode(),
        }).Array[1, 12],
        Gen.Int[0, MostSent]).Select((parts, cut) => (parts.SelectMany(p => p).Take(MostSent).ToArray(), cut));

    private static readonly Gen<string> Configurations = Gen.Select(
        Gen.Int[0, 60], Gen.Int[0, 60], Gen.OneOf(Gen.Const("null"), Gen.Const("-1"), Gen.Const("1e999"), Gen.Const("{}"), Gen.Const("[]"), Gen.Const("[null]"), Gen.Const("\"\""), Gen.String.Select(s => JsonSerializer.Serialize(s)), Gen.String)).Select(
            (at, length, insert) =>
            {
                var json = JsonSerializer.Serialize(TinyKernel.Config(), ControlJson.Default.VmConfig);
                at = Math.Min(at * 7, json.Length);
                return json[..at] + insert + json[Math.Min(json.Length, at + (length % 9))..];
            });

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_stream_is_cut_into_frames_or_refused()
    {
        var path = Path.Combine(_folder, "s");
        using var listener = UnixSocket.Listen(path);
        Streams.Sample(
            stream =>
            {
                using var writer = UnixSocket.Connect(path);
                using var accepted = listener.Accept()!;
                using var reader = new FrameReader(accepted);
                var before = GC.GetAllocatedBytesForCurrentThread();
                var cut = Math.Min(stream.Cut, stream.Bytes.Length);
                try
                {
                    var taken = Feed(writer, reader, stream.Bytes.AsSpan(0, cut)) + Feed(writer, reader, stream.Bytes.AsSpan(cut));
                    Assert.InRange(taken, 0, stream.Bytes.Length / Frame.HeaderBytes);
                }
                catch (InvalidDataException e)
                {
                    Assert.NotEmpty(e.Message);
                }
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MostBytes);
            },
            iter: FuzzRuns.Count, threads: 1);
    }

    [Fact]
    public async Task Every_request_is_answered_and_none_ends_the_server()
    {
        var path = Path.Combine(_folder, "vmm");
        using var stop = new CancellationTokenSource();
        var server = VmmProcess.RunAsync(path, (config, _, _, _) =>
        {
            ConfigChecks.Check(config);
            throw new VmmProblemException("refused", "All are refused.", "By the test.", "None.");
        }, TimeProvider.System, stop.Token);
        using (var client = UnixSocket.Connect(path))
        using (var reader = new FrameReader(client))
        {
            Assert.Equal(FrameKind.Hello, Next(client, reader).Kind);
            uint id = 0;
            Gen.Select(Gen.Int[0, 3], Gen.UShort, Configurations).Sample(
                (kind, word, json) =>
                {
                    id++;
                    // Mostly a launch; never the one that ends the process, nor a subscription, which answers for as long as it likes.
                    var asked = kind > 0 ? FrameKind.Launch : (FrameKind)word is FrameKind.End or FrameKind.Subscribe ? FrameKind.TakeVectors : (FrameKind)word;
                    Send(client, new Frame(asked, id, System.Text.Encoding.UTF8.GetBytes(json)).Encode());
                    var answer = Next(client, reader);
                    Assert.Equal(id, answer.RequestId);
                    Assert.True(answer.Kind is FrameKind.Problem or FrameKind.Reply);
                },
                iter: FuzzRuns.Count, threads: 1);
        }
        await stop.CancelAsync();
        await server;
    }

    private static Frame Next(UnixSocket client, FrameReader reader)
    {
        while (true)
        {
            if (reader.Take() is { } frame)
                return frame;
            Assert.False(reader.Closed, "the server has closed the connection");
            if (!reader.Fill() && !reader.Closed)
                Assert.True(Poll.IsReadable(client.Handle, 120_000), "no answer came");
        }
    }

    private static void Send(UnixSocket client, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var sent = client.Send(bytes, []);
            if (sent <= 0)
                Assert.True(Poll.IsWritable(client.Handle, 120_000), "the server reads nothing");
            else
                bytes = bytes[sent..];
        }
    }

    private static int Feed(UnixSocket writer, FrameReader reader, ReadOnlySpan<byte> bytes)
    {
        var taken = 0;
        while (!bytes.IsEmpty)
        {
            bytes = bytes[writer.Send(bytes, [])..];
            while (reader.Fill())
            {
                while (reader.Take() is { } frame)
                {
                    Assert.InRange(frame.Payload.Length, 0, Frame.MaxPayload);
                    frame.CloseDescriptors();
                    taken++;
                }
            }
        }
        return taken;
    }

    private static byte[] Header(uint length, ushort kind, ushort descriptors, uint id)
    {
        var header = new byte[Frame.HeaderBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(header, length);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), kind);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), descriptors);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), id);
        return header;
    }
}
