using System.Buffers.Binary;
using System.Numerics;

namespace Exitless.Vmm.Kvm;

/// <summary>The registers of a local APIC as KVM_GET_LAPIC gives them: a page of 32-bit registers, 16 bytes apart (Intel SDM, volume 3, table 12-1).</summary>
/// <param name="registers">1,024 bytes.</param>
internal readonly ref struct LocalApicPage(ReadOnlySpan<byte> registers)
{
    /// <summary>Bytes that KVM gives.</summary>
    public const int Bytes = 1024;

    private const int InService = 0x100, Requested = 0x200, TimerEntry = 0x320, InitialCount = 0x380, CurrentCount = 0x390;
    private const uint Masked = 1 << 16, ModeBits = 3 << 17, Periodic = 1 << 17, Deadline = 2 << 17;
    private readonly ReadOnlySpan<byte> _registers = registers;

    /// <summary>The highest vector that waits; null: none.</summary>
    public int? HighestRequested => Highest(Requested);

    /// <summary>The highest vector in service; null: none.</summary>
    public int? HighestInService => Highest(InService);

    /// <summary>True if the timer will fire.</summary>
    /// <param name="deadline">The MSR IA32_TSC_DEADLINE; 0: none is set.</param>
    public bool TimerArmed(ulong deadline)
    {
        var entry = Register(TimerEntry);
        return (entry & Masked) == 0 && (entry & ModeBits) switch
        {
            Deadline => deadline != 0,
            Periodic => Register(InitialCount) != 0,
            _ => Register(CurrentCount) != 0,
        };
    }

    private int? Highest(int first)
    {
        for (var word = 7; word >= 0; word--)
        {
            if (Register(first + (16 * word)) is > 0 and var bits)
                return (32 * word) + BitOperations.Log2(bits);
        }
        return null;
    }

    private uint Register(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_registers[offset..]);
}
