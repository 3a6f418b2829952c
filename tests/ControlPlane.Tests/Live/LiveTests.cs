using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Exitless.Contracts;
using Exitless.ControlPlane.Tests.Fixtures;
using Google.Protobuf;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Live;

public sealed class LiveTests(TestHost host) : IClassFixture<TestHost>
{
    private const byte Schema = 1, Rows = 2, Link = 3, LiveRows = 2, PastRows = 3;

    [Fact]
    public async Task A_viewer_gets_the_past_and_then_each_second_and_a_second_one_the_same_without_asking_the_agent_again()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "watched");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        await using var first = await ViewerAsync(vm, 900);
        var asked = (await link.NextAsync(m => m.Watch is not null)).Watch;
        Assert.Equal((vm.ToString(), true, 900u), (asked.VmId, asked.On, asked.BackfillSeconds));
        Assert.Equal([Link, 1], await first.NextAsync());

        await SchemaAsync(link, vm, 1, "a", "b");
        await RowsAsync(link, vm, 1, RowKind.Backfill, (1000, [1, 10]), (2000, [2, 20]));
        using (var schema = JsonDocument.Parse((await first.NextAsync()).AsMemory(1)))
            Assert.Equal("[{\"key\":\"a\",\"kind\":\"counter\",\"unit\":\"1\"},{\"key\":\"b\",\"kind\":\"counter\",\"unit\":\"1\"}]", schema.RootElement.GetProperty("series").GetRawText());
        Assert.Equal((PastRows, "1000 1 10 2000 2 20"), Decode(await first.NextAsync(), 2));
        await RowsAsync(link, vm, 1, RowKind.Live, (3000, [3, 30]));
        Assert.Equal((LiveRows, "3000 3 30"), Decode(await first.NextAsync(), 2));

        await using var second = await ViewerAsync(vm, 900);
        Assert.Equal([Link, 1], await second.NextAsync());
        Assert.Equal(Schema, (await second.NextAsync())[0]);
        Assert.Equal((PastRows, "1000 1 10 2000 2 20 3000 3 30"), Decode(await second.NextAsync(), 2));
        await RowsAsync(link, vm, 1, RowKind.Live, (4000, [4, 40]));
        Assert.Equal((LiveRows, "4000 4 40"), Decode(await first.NextAsync(), 2));
        Assert.Equal((LiveRows, "4000 4 40"), Decode(await second.NextAsync(), 2));

        // A new schema comes before its rows.
        await SchemaAsync(link, vm, 2, "a");
        await RowsAsync(link, vm, 2, RowKind.Live, (5000, [5]));
        Assert.Equal(Schema, (await first.NextAsync())[0]);
        Assert.Equal((LiveRows, "5000 5"), Decode(await first.NextAsync(), 1));

        // The agent is told to stop when the last one leaves, and not before.
        await first.DisposeAsync();
        await RowsAsync(link, vm, 2, RowKind.Live, (6000, [6]));
        Assert.Equal(Schema, (await second.NextAsync())[0]);
        await second.DisposeAsync();
        Assert.False((await link.NextAsync(m => m.Watch is not null)).Watch.On);
    }

    [Fact]
    public async Task A_viewer_is_told_when_the_link_is_lost_and_the_agent_is_asked_again_when_it_is_back()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "lossy");
        var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        await using var viewer = await ViewerAsync(vm, 60);
        await link.NextAsync(m => m.Watch is { On: true });
        Assert.Equal([Link, 1], await viewer.NextAsync());
        await SchemaAsync(link, vm, 1, "a");
        await RowsAsync(link, vm, 1, RowKind.Live, (1000, [1]));
        Assert.Equal(Schema, (await viewer.NextAsync())[0]);
        Assert.Equal(Rows, (await viewer.NextAsync())[0]);
        await link.HangUpAsync();
        Assert.Equal([Link, 0], await viewer.NextAsync());

        var again = await agent.AttachAsync();
        await again.NextAsync(m => m.Watch is { On: true });
        Assert.Equal([Link, 1], await viewer.NextAsync());
        await SchemaAsync(again, vm, 1, "a");
        await RowsAsync(again, vm, 1, RowKind.Backfill, (500, [0]), (1000, [1]), (2000, [2]));
        // What it has seen it does not get again, and the schema is the same.
        Assert.Equal((PastRows, "2000 2"), Decode(await viewer.NextAsync(), 1));
        again.Dispose();
    }

    [Fact]
    public async Task A_console_is_read_from_the_beginning_by_each_and_typed_into()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "console");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        await using var connection = await ConnectAsync();
        await using var first = new Frames(connection.StreamAsync<byte[]>("AttachConsole", vm, 0L));
        Assert.Equal(0u, (await link.NextAsync(m => m.ConsoleAttach is not null)).ConsoleAttach.FromOffset);
        await ConsoleAsync(link, vm, 0, "boot");
        Assert.Equal((0, "boot"), Text(await first.NextAsync()));
        await ConsoleAsync(link, vm, 4, "ing");
        Assert.Equal((4, "ing"), Text(await first.NextAsync()));
        await using var second = new Frames(connection.StreamAsync<byte[]>("AttachConsole", vm, 2L));
        Assert.Equal((2, "oting"), Text(await second.NextAsync()));

        await connection.InvokeAsync("WriteConsole", vm, "report\n"u8.ToArray(), TestContext.Current.CancellationToken);
        Assert.Equal("report\n", (await link.NextAsync(m => m.ConsoleInput is not null)).ConsoleInput.Data.ToStringUtf8());

        // A new run of the VM begins its output again.
        await ConsoleAsync(link, vm, 0, "new");
        Assert.Equal((0, "new"), Text(await first.NextAsync()));
        Assert.Equal((0, "new"), Text(await second.NextAsync()));
        await first.DisposeAsync();
        await second.DisposeAsync();
        await link.NextAsync(m => m.ConsoleDetach is not null);
    }

    [Fact]
    public async Task A_viewer_that_falls_behind_a_large_output_gets_its_end()
    {
        await using var agent = await ScriptedAgent.EnrolAsync(host, "flood");
        using var link = await agent.ComeUpAsync();
        var vm = await VmAsync(agent);
        await using var connection = await ConnectAsync();
        await using var frames = new Frames(connection.StreamAsync<byte[]>("AttachConsole", vm, 0L));
        await link.NextAsync(m => m.ConsoleAttach is not null);
        var sent = 0UL;
        for (var i = 0; i < 40; i++, sent += 16_000)
            await ConsoleAsync(link, vm, sent, new string((char)('a' + (i % 26)), 16_000));
        await ConsoleAsync(link, vm, sent, "$");
        while (true)
        {
            var (offset, text) = Text(await frames.NextAsync());
            if (text.EndsWith('$'))
            {
                Assert.Equal((long)sent + 1, offset + text.Length);
                break;
            }
        }
    }

    [Fact]
    public async Task Without_a_login_or_a_vm_there_is_nothing_to_watch()
    {
        await using var stranger = Connection("nonsense");
        var refused = await Assert.ThrowsAsync<HttpRequestException>(() => stranger.StartAsync(TestContext.Current.CancellationToken));
        Assert.Equal(401, (int?)refused.StatusCode);
        await using var connection = await ConnectAsync();
        await using var frames = new Frames(connection.StreamAsync<byte[]>("WatchVm", Guid.CreateVersion7(), 1));
        var nothing = await Assert.ThrowsAsync<HubException>(frames.NextAsync);
        Assert.Contains("no VM", nothing.Message, StringComparison.OrdinalIgnoreCase);
    }

    private async Task<Guid> VmAsync(ScriptedAgent agent) => (await host.ChangeAsync("/api/v1/vms", Requests.Vm(agent.Id, null, start: false))).VmId!.Value;

    private async Task<Frames> ViewerAsync(Guid vm, int backfill)
    {
        var connection = await ConnectAsync();
        return new Frames(connection.StreamAsync<byte[]>("WatchVm", vm, backfill), connection);
    }

    private async Task<HubConnection> ConnectAsync()
    {
        var connection = Connection(host.Token);
        await connection.StartAsync(TestContext.Current.CancellationToken);
        return connection;
    }

    private HubConnection Connection(string token) => new HubConnectionBuilder().WithUrl(new Uri(host.Address, "/hubs/live"), o =>
    {
        o.AccessTokenProvider = () => Task.FromResult<string?>(token);
        o.HttpMessageHandlerFactory = _ => host.Handler();
        o.WebSocketConfiguration = w => w.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Issuer == host.Authority.Certificate.Subject;
    }).AddMessagePackProtocol().Build();

    private static Task SchemaAsync(ScriptedLink link, Guid vm, ulong id, params string[] keys)
    {
        var schema = new SampleSchema { VmId = vm.ToString(), SchemaId = id };
        schema.Series.AddRange(keys.Select(k => new Series { Key = k, Kind = SeriesKind.Counter, Unit = "1" }));
        return link.SendAsync(new AgentMessage { Schema = schema });
    }

    private static Task RowsAsync(ScriptedLink link, Guid vm, ulong schema, RowKind kind, params (long Time, long[] Values)[] rows)
    {
        var batch = new SampleRows { VmId = vm.ToString(), SchemaId = schema, Kind = kind };
        batch.Rows.AddRange(rows.Select(r => new SampleRow { Time = r.Time, Values = { r.Values } }));
        return link.SendAsync(new AgentMessage { Rows = batch });
    }

    private static Task ConsoleAsync(ScriptedLink link, Guid vm, ulong offset, string text) =>
        link.SendAsync(new AgentMessage { Console = new ConsoleOutput { VmId = vm.ToString(), Offset = offset, Data = ByteString.CopyFromUtf8(text) } });

    private static (byte Kind, string Values) Decode(byte[] frame, int series)
    {
        Assert.Equal(Rows, frame[0]);
        Assert.Equal(series, BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(4)));
        var values = new double[BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(2)) * (series + 1)];
        for (var i = 0; i < values.Length; i++)
            values[i] = BinaryPrimitives.ReadDoubleLittleEndian(frame.AsSpan(6 + (i * 8)));
        Assert.Equal(6 + (values.Length * 8), frame.Length);
        return (frame[1], string.Join(' ', values));
    }

    private static (long Offset, string Text) Text(byte[] frame) => (BinaryPrimitives.ReadInt64LittleEndian(frame), Encoding.UTF8.GetString(frame.AsSpan(8)));

    /// <summary>A stream of frames, read one by one, each within a limit.</summary>
    private sealed class Frames : IAsyncDisposable
    {
        private readonly CancellationTokenSource _leaving = new();
        private readonly HubConnection? _connection;
        private readonly IAsyncEnumerator<byte[]> _frames;
        private Task<bool> _next;
        private bool _disposed;

        /// <summary>Asks at once, not when the first frame is waited for.</summary>
        public Frames(IAsyncEnumerable<byte[]> frames, HubConnection? connection = null)
        {
            _connection = connection;
            _frames = frames.GetAsyncEnumerator(_leaving.Token);
            _next = _frames.MoveNextAsync().AsTask();
        }

        public async Task<byte[]> NextAsync()
        {
            Assert.True(await _next.WaitAsync(TestHost.Limit));
            var frame = _frames.Current;
            _next = _frames.MoveNextAsync().AsTask();
            return frame;
        }

        public async ValueTask DisposeAsync()
        {
            if (_disposed)
                return;
            _disposed = true;
            await _leaving.CancelAsync();
            await Task.WhenAny(_next);
            await _frames.DisposeAsync();
            if (_connection is not null)
                await _connection.DisposeAsync();
            _leaving.Dispose();
        }
    }
}
