namespace Exitless.Vmm.Virtio.Vsock;

/// <summary>How far a connection with a host program has come.</summary>
internal enum VsockState
{
    /// <summary>There is none.</summary>
    Free,

    /// <summary>It has not said yet what it wants.</summary>
    Asking,

    /// <summary>It waits for the guest to connect to its port.</summary>
    Listening,

    /// <summary>The guest was asked for a connection.</summary>
    Requested,

    /// <summary>Bytes go through.</summary>
    Open,

    /// <summary>The guest is still to be told that it is over.</summary>
    Ended,
}

/// <summary>What the guest is to be told of a connection, as soon as it has a buffer.</summary>
[Flags]
internal enum VsockWork
{
    None = 0,
    Request = 1,
    Response = 2,
    Reset = 4,

    /// <summary>The host program has sent something, or has ended.</summary>
    Data = 8,
    Shutdown = 16,
    CreditUpdate = 32,
}
