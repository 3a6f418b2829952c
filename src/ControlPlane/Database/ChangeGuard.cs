namespace Exitless.ControlPlane.Database;

/// <summary>
/// What a request adds to the transaction of the change that it brings about: its precondition at the beginning, the mark of its key at the end. It travels with
/// the request's flow, so that rules and services know nothing of it; a change that nobody requested over HTTP has none.
/// </summary>
internal abstract class ChangeGuard
{
    private static readonly AsyncLocal<ChangeGuard?> Ambient = new();

    /// <summary>The guard of the request that is being served; null: there is none.</summary>
    public static ChangeGuard? Current => Ambient.Value;

    /// <summary>Guards every change until the calling asynchronous method returns.</summary>
    public static void Enter(ChangeGuard guard) => Ambient.Value = guard;

    /// <summary>Before anything is looked at. What throws here rolls the transaction back.</summary>
    public abstract Task BeginAsync(ControlPlaneContext db, CancellationToken ct);

    /// <summary>After everything is written, before it is committed.</summary>
    public abstract Task CommitAsync(ControlPlaneContext db, CancellationToken ct);

    /// <summary>It is committed.</summary>
    public abstract void Committed();
}
