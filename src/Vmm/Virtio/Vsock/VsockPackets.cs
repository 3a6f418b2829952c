using Exitless.Linux;

namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>Writes packets into the guest's buffers, one each.</summary>
internal sealed class VsockPackets(uint cid)
{
    /// <summary>The host's own address.</summary>
    public const ulong HostCid = 2;

    private const ulong MostData = 64 * 1024;

    /// <summary>Room for the pieces of one buffer.</summary>
    public IoVector[] Parts { get; } = new IoVector[VectorIo.MostVectors];

    /// <summary>Writes a packet; addresses are filled in here.</summary>
    public void Put(SplitQueue buffers, in VsockHeader header)
    {
        Span<byte> bytes = stackalloc byte[VsockHeader.Bytes];
        (header with { SourceCid = HostCid, TargetCid = cid }).Write(bytes);
        Stretches.Write(buffers.Chain.Writable, 0, bytes);
        buffers.Give(VsockHeader.Bytes + header.Length);
    }

    /// <summary>Writes the next packet of a connection.</summary>
    /// <returns>False if it has nothing to tell after all, or has to wait until the guest takes more.</returns>
    public bool TryTell(VsockConnection connection, SplitQueue buffers)
    {
        if (Has(connection, VsockWork.Reset))
            Put(buffers, connection, VsockOperation.Reset);
        else if (Has(connection, VsockWork.Request))
            Put(buffers, connection, VsockOperation.Request);
        else if (Has(connection, VsockWork.Response))
            Put(buffers, connection, VsockOperation.Response);
        else if ((connection.Work & VsockWork.Data) != VsockWork.None && TryPutData(connection, buffers))
            return true;
        // The end comes after the data.
        else if ((connection.Work & VsockWork.Data) == VsockWork.None && Has(connection, VsockWork.Shutdown))
            Put(buffers, connection, VsockOperation.Shutdown, flags: connection.HostEnds);
        else if (Has(connection, VsockWork.CreditUpdate))
            Put(buffers, connection, VsockOperation.CreditUpdate);
        else
            return false;
        return true;
    }

    private static bool Has(VsockConnection connection, VsockWork work)
    {
        var has = (connection.Work & work) != VsockWork.None;
        connection.Work &= ~work;
        return has;
    }

    private bool TryPutData(VsockConnection connection, SplitQueue buffers)
    {
        if ((connection.GuestEnds & VsockHeader.EndsReceiving) != 0)
        {
            connection.Work &= ~VsockWork.Data;
            return false;
        }
        var room = Math.Min(Math.Min(connection.Credit, buffers.Chain.WritableBytes - VsockHeader.Bytes), MostData);
        if (room == 0)
            return false;
        var count = Stretches.Cut(buffers.Chain.Writable, VsockHeader.Bytes, room, Parts);
        var got = VectorIo.TryRead(connection.Socket!, Parts.AsSpan(0, count), out var error);
        if (got > 0)
        {
            connection.Sent += (uint)got;
            Put(buffers, connection, VsockOperation.Data, (uint)got);
            return true;
        }
        connection.Work &= ~VsockWork.Data;
        if (got < 0 && error == Errno.Again)
            return false;
        connection.HostEnds |= VsockHeader.EndsSending | (connection.HungUp ? VsockHeader.EndsReceiving : 0);
        connection.Work |= VsockWork.Shutdown;
        return false;
    }

    private void Put(SplitQueue buffers, VsockConnection connection, VsockOperation operation, uint length = 0, uint flags = 0)
    {
        connection.Told = connection.Forwarded;
        connection.Work &= ~VsockWork.CreditUpdate;
        Put(buffers, new VsockHeader
        {
            SourcePort = connection.HostPort,
            TargetPort = connection.GuestPort,
            Length = length,
            Type = VsockHeader.Stream,
            Operation = operation,
            Flags = flags,
            Room = VsockConnection.Room,
            Forwarded = connection.Forwarded,
        });
    }
}
