using System.Collections.Concurrent;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Link;
using Google.Protobuf;
using Google.Protobuf.Collections;

namespace Exitless.ControlPlane.Live;

/// <summary>
/// What people watch right now. The agent is asked once for each VM, however many look at it; when the last one leaves, it is told to stop; when its link
/// comes back, it is asked again for all that is being watched.
/// </summary>
internal sealed class LiveStreams(LinkRegistry links)
{
    /// <summary>What an agent is asked to send first, and what is kept for those who come later.</summary>
    public static readonly TimeSpan Backfill = TimeSpan.FromMinutes(15);

    private readonly ConcurrentDictionary<Guid, RowStream> _rows = new();
    private readonly ConcurrentDictionary<Guid, ConsoleStream> _consoles = new();
    private readonly Lock _joining = new();

    /// <summary>Begins to watch a VM. Dispose the viewer to leave.</summary>
    public RowViewer Watch(Guid vmId, Guid hostId, TimeSpan backfill)
    {
        lock (_joining)
        {
            var stream = _rows.GetOrAdd(vmId, _ => new RowStream(vmId, hostId, links.IsConnected(hostId)));
            var viewer = stream.Join(backfill, () => LeaveRows(stream));
            if (stream.Viewers == 1)
                AskForRows(stream, links.Find(hostId));
            return viewer;
        }
    }

    /// <summary>Begins to read a VM's console from an offset of its output.</summary>
    public ConsoleViewer Attach(Guid vmId, Guid hostId, long fromOffset)
    {
        lock (_joining)
        {
            var stream = _consoles.GetOrAdd(vmId, _ => new ConsoleStream(vmId, hostId));
            var viewer = stream.Join(fromOffset, () => LeaveConsole(stream));
            if (stream.Viewers == 1)
                AskForConsole(stream, links.Find(hostId));
            return viewer;
        }
    }

    /// <summary>Types into a VM's console. False: the host is not connected.</summary>
    public bool Type(Guid vmId, Guid hostId, ReadOnlyMemory<byte> data)
    {
        if (links.Find(hostId) is not { } link)
            return false;
        link.Send(new ControlMessage { ConsoleInput = new ConsoleInput { VmId = vmId.ToString("D"), Data = ByteString.CopyFrom(data.Span) } });
        return true;
    }

    /// <summary>Rows of a VM, live or of the past.</summary>
    public void Rows(Guid vmId, IReadOnlyList<SeriesDto> series, bool backfill, RepeatedField<SampleRow> rows)
    {
        if (_rows.TryGetValue(vmId, out var stream))
            stream.Add(series, backfill, rows);
    }

    /// <summary>Output of a VM's console.</summary>
    public void Console(Guid vmId, ulong offset, ReadOnlyMemory<byte> data)
    {
        if (_consoles.TryGetValue(vmId, out var stream))
            stream.Add((long)Math.Min(offset, long.MaxValue / 2), data.Span);
    }

    public void LinkUp(HostLink link)
    {
        lock (_joining)
        {
            foreach (var stream in _rows.Values.Where(s => s.HostId == link.HostId))
            {
                stream.SetLink(true);
                AskForRows(stream, link);
            }
            foreach (var stream in _consoles.Values.Where(s => s.HostId == link.HostId))
                AskForConsole(stream, link);
        }
    }

    public void LinkDown(HostLink link)
    {
        foreach (var stream in _rows.Values.Where(s => s.HostId == link.HostId))
            stream.SetLink(false);
    }

    private void LeaveRows(RowStream stream)
    {
        lock (_joining)
        {
            if (stream.Leave() > 0)
                return;
            _rows.TryRemove(stream.VmId, out _);
            links.Find(stream.HostId)?.Send(new ControlMessage { Watch = new WatchVm { VmId = stream.VmId.ToString("D"), On = false } });
        }
    }

    private void LeaveConsole(ConsoleStream stream)
    {
        lock (_joining)
        {
            if (stream.Leave() > 0)
                return;
            _consoles.TryRemove(stream.VmId, out _);
            links.Find(stream.HostId)?.Send(new ControlMessage { ConsoleDetach = new ConsoleDetach { VmId = stream.VmId.ToString("D") } });
        }
    }

    private static void AskForRows(RowStream stream, HostLink? link) =>
        link?.Send(new ControlMessage { Watch = new WatchVm { VmId = stream.VmId.ToString("D"), On = true, BackfillSeconds = (uint)Backfill.TotalSeconds } });

    private static void AskForConsole(ConsoleStream stream, HostLink? link) =>
        link?.Send(new ControlMessage { ConsoleAttach = new ConsoleAttach { VmId = stream.VmId.ToString("D"), FromOffset = (ulong)stream.End } });
}
