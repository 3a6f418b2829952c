using System.Net.Sockets;
using System.Text;
using Exitless.Agent.GuestCounts;

namespace Exitless.Agent.Tests.GuestCounts;

/// <summary>Against a Unix socket in the place of the VMM's. That the VMM's does the same is tried in the lab (tests/EndToEnd/GuestCountTests.cs).</summary>
public sealed class GuestListenerTests : IDisposable
{
    private static readonly ulong[] Keys = [GuestReport.KeyOf(0, 0, 2, 0, 1)];
    private readonly TemporaryFolder _folder = new();
    private readonly Socket _vmm = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly GuestWord _word = new(TimeProvider.System);
    private readonly List<DateTimeOffset> _refusals = [];
    private readonly GuestListener _listener;
    private readonly Task _listening;

    public GuestListenerTests()
    {
        var path = _folder.File("vsock.sock");
        _vmm.Bind(new UnixDomainSocketEndPoint(path));
        _vmm.Listen();
        _listener = new GuestListener(path, _word, () => _refusals.Add(TimeProvider.System.GetUtcNow()), TimeProvider.System);
        _listening = _listener.RunAsync();
    }

    public void Dispose()
    {
        _vmm.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task It_waits_for_the_guest_and_hears_it_and_one_that_comes_again()
    {
        using (var guest = await ConnectAsync())
            await SendAsync(guest, "exitless-interrupts 1 0000:00:02.0/1=5\nexitless-interrupts 1 0000:00:02.0/1=7\nexitless-inter");
        // It asks again only when it has read all of the first.
        using var again = await ConnectAsync();
        Assert.Equal((2, 7L), Said());
        await SendAsync(again, "exitless-interrupts 1 0000:00:02.0/1=9\n");
        again.Shutdown(SocketShutdown.Both);
        using var third = await ConnectAsync();
        Assert.Equal((3, 9L), Said());
        Assert.Empty(_refusals);
        _listener.Dispose();
        await _listening.Within();
    }

    [Fact]
    public async Task One_that_sends_what_is_no_report_loses_its_connection_and_is_told_of_once()
    {
        for (var i = 0; i < 3; i++)
        {
            using var guest = await ConnectAsync();
            await SendAsync(guest, "exitless-interrupts 1 0000:00:02.0/1=5\nGET / HTTP/1.1\n");
            Assert.Equal(0, await guest.ReceiveAsync(new byte[1]).Within());
        }
        using var good = await ConnectAsync();
        Assert.Equal((3, 5L), Said());
        Assert.Single(_refusals);
        _listener.Dispose();
        await _listening.Within();
    }

    [Fact]
    public async Task One_that_sends_too_much_is_read_slowly()
    {
        var line = $"exitless-interrupts 1{string.Concat(Enumerable.Range(0, 2000).Select(v => $" 0000:00:02.0/{v}=123456789"))}\n";
        var lines = 2 * GuestListener.MostBytesPerSecond / line.Length + 2;
        using var guest = await ConnectAsync();
        var begun = TimeProvider.System.GetTimestamp();
        await SendAsync(guest, string.Concat(Enumerable.Repeat(line, lines)));
        guest.Shutdown(SocketShutdown.Both);
        using var again = await ConnectAsync();
        Assert.Equal((lines, 123456789L), Said());
        // Two pauses of about a second each, less what reading took, and the one before it comes again.
        Assert.InRange(TimeProvider.System.GetElapsedTime(begun).TotalSeconds, 2.5, Limit.Time.TotalSeconds);
        _listener.Dispose();
        await _listening.Within();
    }

    private (long Reports, long Count) Said()
    {
        var counts = new long[1];
        return (_word.Read(Keys, counts).Reports, counts[0]);
    }

    // As the VMM: takes the line, and answers it when the guest has connected.
    private async Task<Socket> ConnectAsync()
    {
        var guest = await _vmm.AcceptAsync().Within();
        var line = new byte["LISTEN 7445\n".Length];
        for (var length = 0; length < line.Length;)
            length += await guest.ReceiveAsync(line.AsMemory(length)).AsTask().Within();
        Assert.Equal("LISTEN 7445\n", Encoding.ASCII.GetString(line));
        await SendAsync(guest, "OK 1073741824\n");
        return guest;
    }

    private static Task<int> SendAsync(Socket socket, string text) => socket.SendAsync(Encoding.ASCII.GetBytes(text)).Within();
}
