using System.Text.Json.Serialization;
using Exitless.Agent.Sriov;

namespace Exitless.Agent.Machines;

/// <summary>How far a VM is, for an agent that comes after this one.</summary>
internal enum VmPhase
{
    Idle,
    Starting,
    Running,
}

/// <summary>What an agent must know of a VM that it did not start itself. Written before each step that would be hard to find out.</summary>
internal sealed record VmRecord
{
    public required string VmId { get; init; }

    public string Name { get; init; } = "";

    /// <summary>The generation of the wanted VM that was acted on last.</summary>
    public ulong Generation { get; init; }

    public VmPhase Phase { get; init; }

    /// <summary>The boot of the host that phase and devices belong to.</summary>
    public string BootId { get; init; } = "";

    public int ProcessId { get; init; }

    public long StartedAt { get; init; }

    public IReadOnlyList<BoundDevice> Devices { get; init; } = [];

    /// <summary>Host CPUs that its vCPUs have to themselves.</summary>
    // The JSON reader sets members to null that an earlier agent did not write.
    public IReadOnlyList<int> Cpus { get => field ?? []; init; } = [];

    /// <summary>How the last run ended; empty: never ran.</summary>
    public string EndReason { get; init; } = "";

    public ProblemRecord? Problem { get; init; }
}

internal sealed record ProblemRecord(string Code, string Title, string Detail, string Remedy, string Field)
{
    public static ProblemRecord Of(Contracts.Problem p) => new(p.Code, p.Title, p.Detail, p.Remedy, p.Field);

    public Contracts.Problem ToProblem() => new() { Code = Code, Title = Title, Detail = Detail, Remedy = Remedy, Field = Field };
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, WriteIndented = true)]
[JsonSerializable(typeof(VmRecord))]
internal sealed partial class VmRecordJson : JsonSerializerContext;
