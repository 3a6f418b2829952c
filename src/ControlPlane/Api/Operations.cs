namespace Exitless.ControlPlane.Api;

/// <summary>What an operation does.</summary>
public enum OperationKind
{
    /// <summary>Creates a VM, and starts it if that was asked.</summary>
    CreateVm,
    /// <summary>Starts a VM.</summary>
    StartVm,
    /// <summary>Stops a VM by its power button.</summary>
    StopVm,
    /// <summary>Ends a VM at once.</summary>
    ForceOffVm,
    /// <summary>Removes a VM.</summary>
    DeleteVm,
    /// <summary>Gives a PF a number of VFs.</summary>
    SetVfs,
    /// <summary>Throws the switch of a running VM's interrupts.</summary>
    SwitchInterrupts,
}

/// <summary>Where an operation stands. It never stays in progress: it expires.</summary>
public enum OperationState
{
    /// <summary>The host has not taken it up; <see cref="OperationDto.WaitingFor"/> says why.</summary>
    Waiting,
    /// <summary>The host works on it.</summary>
    Running,
    /// <summary>What was observed has met what was wanted.</summary>
    Done,
    /// <summary>It failed; the problem says why.</summary>
    Failed,
    /// <summary>It was taken back, or a later operation took its place.</summary>
    Cancelled,
}

/// <summary>How far a step is.</summary>
public enum StepState
{
    /// <summary>Under way.</summary>
    Running,
    /// <summary>Done.</summary>
    Done,
    /// <summary>Failed.</summary>
    Failed,
}

/// <summary>A step of an operation, in the order the host takes them.</summary>
/// <param name="Name">What it does, such as <c>bind 0000:01:10.0 to vfio-pci</c>.</param>
/// <param name="State">How far it is.</param>
/// <param name="StartedAt">When it began.</param>
/// <param name="FinishedAt">When it ended; null: under way.</param>
/// <param name="Detail">More, where there is more to say.</param>
public sealed record StepDto(string Name, StepState State, DateTimeOffset StartedAt, DateTimeOffset? FinishedAt, string? Detail);

/// <summary>A change that was asked for, and how it fares.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Kind">What it does.</param>
/// <param name="State">Where it stands.</param>
/// <param name="Title">What it does, in words: <c>Start VM demo on h1</c>.</param>
/// <param name="Progress">What is going on now or how it ended, in one sentence.</param>
/// <param name="WaitingFor">Why the host has not taken it up yet; null unless it waits.</param>
/// <param name="HostId">The host it happens on.</param>
/// <param name="HostName">That host's name.</param>
/// <param name="VmId">The VM it is about; null: none.</param>
/// <param name="VmName">That VM's name.</param>
/// <param name="Device">The PCI address it is about; null: none.</param>
/// <param name="Steps">Its steps so far.</param>
/// <param name="Problem">Why it failed or was cancelled.</param>
/// <param name="RequestedBy">Who asked for it.</param>
/// <param name="CreatedAt">When it was asked for.</param>
/// <param name="FinishedAt">When it ended; null: it has not.</param>
/// <param name="ExpiresAt">When it fails unless it has ended before.</param>
/// <param name="CanCancel">Whether it can be taken back now.</param>
/// <param name="ProjectId">The project of its VM; null: it is about no VM.</param>
public sealed record OperationDto(
    Guid Id, OperationKind Kind, OperationState State, string Title, string Progress, string? WaitingFor, Guid HostId, string HostName,
    Guid? VmId, string? VmName, string? Device, IReadOnlyList<StepDto> Steps, ProblemDto? Problem, string RequestedBy,
    DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt, DateTimeOffset ExpiresAt, bool CanCancel, Guid? ProjectId = null)
{
    /// <summary>Whether it has ended, one way or another.</summary>
    public bool Finished => FinishedAt is not null;
}

/// <summary>Which operations to list, the newest first.</summary>
/// <param name="HostId">Of this host only.</param>
/// <param name="VmId">Of this VM only.</param>
/// <param name="Active">True: unfinished only; false: finished only; null: both.</param>
/// <param name="Limit">At most this many, 1 to 1000.</param>
/// <param name="Kind">Of this kind only.</param>
/// <param name="State">In this state only.</param>
/// <param name="Before">Older than this operation only: the last id of the page before.</param>
/// <param name="Projects">Of VMs in these projects only; null: of all, and of hosts too.</param>
public sealed record OperationFilter(Guid? HostId = null, Guid? VmId = null, bool? Active = null, int Limit = 100, OperationKind? Kind = null, OperationState? State = null, Guid? Before = null, IReadOnlyCollection<Guid>? Projects = null);

/// <summary>Operations, as they were asked for and as they fare.</summary>
public interface IOperationLog
{
    /// <summary>Operations, the newest first.</summary>
    Task<IReadOnlyList<OperationDto>> ListAsync(OperationFilter filter, CancellationToken ct);

    /// <summary>One operation; <see cref="ProblemException"/> <c>operation-not-found</c>.</summary>
    Task<OperationDto> GetAsync(Guid operationId, CancellationToken ct);

    /// <summary>The operation as soon as it has finished, or as it is when <paramref name="limit"/> has passed.</summary>
    Task<OperationDto> WaitAsync(Guid operationId, TimeSpan limit, CancellationToken ct);

    /// <summary>Takes an operation back; <see cref="ProblemException"/> when the host has already taken up what cannot be taken back.</summary>
    Task<OperationDto> CancelAsync(Guid operationId, Actor by, CancellationToken ct);
}
