using Exitless.Linux.Confinement;

namespace Exitless.Vmm.Sandbox;

/// <summary>Writes classic BPF over struct seccomp_data (Documentation/userspace-api/seccomp_filter.rst): the call's number at 0, the architecture at 4, six arguments of 8 bytes from 16 on.</summary>
internal sealed class BpfAssembler
{
    public const uint NumberOffset = 0, ArchitectureOffset = 4;
    private const ushort LoadWord = 0x20, And = 0x54, JumpIfEqual = 0x15, ReturnValue = 0x06;
    private readonly List<BpfInstruction> _instructions = [];

    public BpfInstruction[] Program => [.. _instructions];

    /// <summary>The lower half of an argument; every value that is looked at is an int or a set of flags in it.</summary>
    public static uint ArgumentOffset(int argument) => 16 + (8 * (uint)argument);

    public BpfAssembler Load(uint offset) => Add(LoadWord, 0, 0, offset);

    public BpfAssembler Mask(uint bits) => Add(And, 0, 0, bits);

    public BpfAssembler SkipIfEqual(uint value, int count) => Add(JumpIfEqual, checked((byte)count), 0, value);

    public BpfAssembler SkipUnlessEqual(uint value, int count) => Add(JumpIfEqual, 0, checked((byte)count), value);

    public BpfAssembler Return(uint value) => Add(ReturnValue, 0, 0, value);

    private BpfAssembler Add(ushort code, byte ifTrue, byte ifFalse, uint value)
    {
        _instructions.Add(new BpfInstruction(code, ifTrue, ifFalse, value));
        return this;
    }
}
