namespace Exitless.Vmm.Control;

/// <summary>How a guest ended.</summary>
public enum VmEndReason
{
    /// <summary>It switched itself off through ACPI S5.</summary>
    PowerOff,
    /// <summary>It asked for a reset.</summary>
    Reset,
    /// <summary>It ran into a triple fault.</summary>
    TripleFault,
    /// <summary>It was ended at once from outside.</summary>
    Killed,
    /// <summary>KVM could not go on with it.</summary>
    Error,
    /// <summary>Its kernel panicked and said so (pvpanic).</summary>
    GuestPanic,
}

/// <summary>The end of a guest.</summary>
/// <param name="Reason">How it ended. One that this version does not know, from a newer VMM, reads as <see cref="VmEndReason.Error"/>.</param>
/// <param name="Text">More, in words.</param>
/// <param name="At">When, Unix milliseconds.</param>
[System.Text.Json.Serialization.JsonConverter(typeof(VmEndConverter))]
public sealed record VmEnd(VmEndReason Reason, string Text, long At);

/// <summary>A guest's new start in the same process, see <see cref="VmOnReset.Restart"/>.</summary>
/// <param name="Count">How often it has started again by now.</param>
/// <param name="Reason">Why: <see cref="VmEndReason.Reset"/> or <see cref="VmEndReason.GuestPanic"/>.</param>
/// <param name="Text">More, in words.</param>
/// <param name="At">When, Unix milliseconds.</param>
public sealed record VmRestart(int Count, VmEndReason Reason, string Text, long At);

/// <summary>What happens in a VM.</summary>
public abstract record VmmEvent;

/// <summary>Bytes that the guest wrote to its console.</summary>
/// <param name="Offset">Offset of the first byte in the VM's whole output. A gap to the event before means that the reader was too slow and the ring moved on.</param>
/// <param name="Data">The bytes.</param>
public sealed record VmmConsoleOutput(long Offset, ReadOnlyMemory<byte> Data) : VmmEvent;

/// <summary>The guest has started again. Of several since the last event only the latest is told; it knows their number.</summary>
/// <param name="Restart">How.</param>
public sealed record VmmRestarted(VmRestart Restart) : VmmEvent;

/// <summary>The guest has ended and everything it held is released. Always the last event.</summary>
/// <param name="End">How.</param>
public sealed record VmmEnded(VmEnd End) : VmmEvent;
