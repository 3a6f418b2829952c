using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Virtio;

/// <summary>
/// A network link on a TAP interface (virtio 1.2, section 5.1). Header and packet go between the interface and guest memory as they are: the
/// kernel checks and segments. A packet larger than the guest's first buffer goes on in the next ones (MRG_RXBUF).
/// </summary>
internal sealed unsafe class VirtioNet : VirtioDevice
{
    private const int Receive = 0, Transmit = 1;
    private const int HeaderBytes = 12, MostPacketBytes = 65_535 + HeaderBytes + 18, MostMerged = 64, MostPackets = 64;
    private const ulong ChecksumFeature = 1 << 0, GuestChecksumFeature = 1 << 1, MacFeature = 1 << 5, GuestTcp4Feature = 1 << 7, GuestTcp6Feature = 1 << 8, GuestEcnFeature = 1 << 9,
        HostTcp4Feature = 1 << 11, HostTcp6Feature = 1 << 12, HostEcnFeature = 1 << 13, MergeFeature = 1 << 15;
    private readonly SafeFileHandle _tap;
    private readonly byte[] _mac;
    private readonly IoVector[] _part = new IoVector[VectorIo.MostVectors];
    private readonly (ushort Head, uint Written)[] _merged = new (ushort, uint)[MostMerged];
    private readonly byte* _rest = (byte*)NativeMemory.Alloc(MostPacketBytes);
    private Epoll? _epoll;
    private bool _listens;

    /// <param name="name">For people.</param>
    /// <param name="tap">The interface, which goes over to this.</param>
    /// <param name="mac">Six bytes.</param>
    public VirtioNet(string name, SafeFileHandle tap, byte[] mac)
        : base(name, type: 1, classCode: 0x020000,
            ChecksumFeature | GuestChecksumFeature | MacFeature | GuestTcp4Feature | GuestTcp6Feature | GuestEcnFeature | HostTcp4Feature | HostTcp6Feature | HostEcnFeature | MergeFeature, queues: 2) =>
        (_tap, _mac) = (tap, mac);

    public override int ConfigurationBytes => _mac.Length;

    public override byte ReadConfiguration(int offset) => _mac[offset];

    /// <summary>Checks a descriptor and makes the device.</summary>
    /// <exception cref="VmmProblemException">net-not-a-tap, net-mac-invalid.</exception>
    public static VirtioNet Open(NetConfig config, SafeFileHandle tap, int index)
    {
        if (!Tap.IsOpen(tap) || Tap.TrySetHeaderBytes(tap, HeaderBytes) != 0)
        {
            throw new VmmProblemException("net-not-a-tap", "A network link is no TAP interface.", "Its descriptor does not come from /dev/net/tun with IFF_TAP and IFF_VNET_HDR.",
                "Open the interface with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR.", $"networks[{index}]");
        }
        return new VirtioNet($"net {index}", tap, ParseMac(config.Mac, $"networks[{index}].mac"));
    }

    /// <summary>Reads a MAC address.</summary>
    /// <exception cref="VmmProblemException">net-mac-invalid.</exception>
    public static byte[] ParseMac(string text, string field)
    {
        var parts = text.Split(':');
        var mac = new byte[6];
        var valid = parts.Length == mac.Length;
        for (var i = 0; valid && i < mac.Length; i++)
            valid = parts[i].Length == 2 && byte.TryParse(parts[i], System.Globalization.NumberStyles.AllowHexSpecifier, null, out mac[i]);
        if (!valid || (mac[0] & 1) != 0 || mac.All(b => b == 0))
            throw new VmmProblemException("net-mac-invalid", "A link's MAC address cannot be one.", $"It is `{text}`; six pairs of hexadecimal digits with colons are wanted, and no group address.", "For instance 52:54:00:12:34:56.", field);
        return mac;
    }

    public override void Listen(Epoll epoll)
    {
        _epoll = epoll;
        // Only while there are buffers: an interface that is readable all the time would keep the worker busy for nothing.
        epoll.Add(_tap, EpollEvents.None, VirtioWorker.FirstTag);
    }

    public override void Dispose()
    {
        base.Dispose();
        _tap.Dispose();
        NativeMemory.Free(_rest);
    }

    protected override void Started()
    {
        const uint checksums = 1, tcp4 = 2, tcp6 = 4, ecn = 8;
        uint offloads = 0;
        if ((Features & GuestChecksumFeature) != 0)
        {
            offloads = checksums | ((Features & GuestTcp4Feature) != 0 ? tcp4 : 0) | ((Features & GuestTcp6Feature) != 0 ? tcp6 : 0);
            if (offloads != checksums && (Features & GuestEcnFeature) != 0)
                offloads |= ecn;
        }
        // One that cannot be set leaves the interface to do the work itself, which is right for any guest.
        _ = Tap.TrySetOffloads(_tap, offloads);
        ListenForPackets(true);
    }

    protected override void Stopped() => ListenForPackets(false);

    protected override void Notified(int queue)
    {
        if (queue == Receive)
            ReceivePackets();
        else
            Drain(Transmit);
    }

    protected override void Ready(ulong tag, EpollEvents events)
    {
        if ((events & (EpollEvents.Error | EpollEvents.HungUp)) != EpollEvents.None)
        {
            // The interface has been deleted: it will never be readable again, and would be reported for ever.
            _epoll?.Remove(_tap);
            _epoll = null;
        }
        else if (Running && !NeedsReset)
            ReceivePackets();
        else
            ListenForPackets(false);
    }

    protected override bool Handle(int queue, SplitQueue requests)
    {
        var chain = requests.Chain;
        if (chain.ReadableBytes is > HeaderBytes and <= MostPacketBytes)
        {
            // What the interface does not take now is lost, as on a wire that is too slow.
            _ = VectorIo.TryWrite(_tap, chain.Readable, out _);
        }
        requests.Give(0);
        return true;
    }

    private void ReceivePackets()
    {
        var requests = Queues[Receive];
        // After as many packets as this the other queue gets its turn; epoll reports what still waits.
        var listens = true;
        for (var i = 0; i < MostPackets; i++)
        {
            if (!requests.TryTake())
            {
                // A buffer that came meanwhile has not been announced.
                if (requests.Rearm())
                    continue;
                listens = false;
                break;
            }
            if (!ReceiveOne(requests))
            {
                requests.PutBack();
                break;
            }
        }
        ListenForPackets(listens);
        Tell(Receive);
    }

    /// <returns>False if no packet waits.</returns>
    private bool ReceiveOne(SplitQueue requests)
    {
        var first = requests.Chain.Writable;
        first.CopyTo(_part);
        _part[first.Length] = new IoVector(_rest, MostPacketBytes);
        var room = requests.Chain.WritableBytes;
        var count = VectorIo.TryRead(_tap, _part.AsSpan(0, first.Length + 1), out var error);
        if (count < 0 && error == Errno.Again)
            return false;
        // An interface that fails (it is down, say) has no packet either; epoll tells when that changes.
        if (count < HeaderBytes)
            return false;
        if (room < HeaderBytes)
        {
            Fail();
            return true;
        }
        var total = (ulong)count;
        _merged[0] = (requests.Head, (uint)Math.Min(total, room));
        var buffers = 1;
        for (var done = room; done < total; buffers++)
        {
            // Without merging, or without enough buffers, the packet is lost; the first buffer serves for the next one.
            if ((Features & MergeFeature) == 0 || buffers == MostMerged || !requests.TryTake())
            {
                for (; buffers > 1; buffers--)
                    requests.PutBack();
                requests.PutBack();
                return true;
            }
            var written = Stretches.Write(requests.Chain.Writable, 0, new ReadOnlySpan<byte>(_rest + (done - room), (int)(total - done)));
            _merged[buffers] = (requests.Head, (uint)written);
            done += (ulong)written;
        }
        // The count of buffers, at the end of the header, which may be scattered as everything else.
        Span<byte> number = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(number, (ushort)buffers);
        Stretches.Write(_part.AsSpan(0, first.Length), 10, number);
        for (var i = 0; i < buffers; i++)
            requests.Place(i, _merged[i].Head, _merged[i].Written);
        requests.Publish(buffers);
        return true;
    }

    private void ListenForPackets(bool listens)
    {
        if (_epoll is null || listens == _listens)
            return;
        _listens = listens;
        _epoll.Modify(_tap, listens ? EpollEvents.Readable : EpollEvents.None, VirtioWorker.FirstTag);
    }
}
