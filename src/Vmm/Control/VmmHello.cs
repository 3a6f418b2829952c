namespace Exitless.Vmm.Control;

/// <summary>How far a VMM process has come.</summary>
public enum VmmState
{
    /// <summary>No VM yet: it waits for a launch.</summary>
    Empty,
    /// <summary>The guest runs.</summary>
    Running,
    /// <summary>The guest has ended and everything it held is released; the process stays to say how, until it is told to end.</summary>
    Ended,
}

/// <summary>What a VMM process says of itself to each connection.</summary>
public sealed record VmmHello
{
    /// <summary>The version of the protocol that the process speaks.</summary>
    public required int Protocol { get; init; }

    /// <summary>The VMM's process.</summary>
    public required int ProcessId { get; init; }

    /// <summary>How far it has come.</summary>
    public required VmmState State { get; init; }

    /// <summary>The VM's id; all zeros while <see cref="VmmState.Empty"/>.</summary>
    public Guid VmId { get; init; }

    /// <summary>When the guest started to run, Unix milliseconds; 0 while <see cref="VmmState.Empty"/>.</summary>
    public long StartedAt { get; init; }

    /// <summary>What was launched; null while <see cref="VmmState.Empty"/>.</summary>
    public VmConfig? Config { get; init; }

    /// <summary>True while the guest is paused.</summary>
    public bool Paused { get; init; }

    /// <summary>The guest's latest new start in this process; null if there was none.</summary>
    public VmRestart? LastRestart { get; init; }

    /// <summary>Garbage collections of the process so far; 0 from one that does not say.</summary>
    public int Collections { get; init; }

    /// <summary>How the guest ended; null until it has.</summary>
    public VmEnd? End { get; init; }
}
