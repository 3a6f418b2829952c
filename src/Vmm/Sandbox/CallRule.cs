namespace Exitless.Vmm.Sandbox;

/// <summary>A system call that the running VMM may make.</summary>
/// <param name="Number">Its number on x86-64.</param>
/// <param name="Condition">Which of its calls; null: all.</param>
internal sealed record CallRule(uint Number, ArgumentCondition? Condition = null);

/// <summary>Holds where an argument's bits under a mask are one of these values.</summary>
internal sealed record ArgumentCondition(int Argument, uint Mask, params uint[] Values)
{
    /// <summary>Whole values for which it holds besides.</summary>
    public uint[] Exactly { get; init; } = [];

    public static ArgumentCondition Without(int argument, uint bits) => new(argument, bits, 0);

    public static ArgumentCondition Is(int argument, params uint[] values) => new(argument, uint.MaxValue, values);
}
