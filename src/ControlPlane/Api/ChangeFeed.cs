namespace Exitless.ControlPlane.Api;

/// <summary>What kind of thing changed.</summary>
public enum ChangeKind
{
    /// <summary>A host: its link, its facts, its devices or their owners. The id is the host's.</summary>
    Host,
    /// <summary>A VM, wanted or observed.</summary>
    Vm,
    /// <summary>An operation.</summary>
    Operation,
    /// <summary>A new event. The id is the event's.</summary>
    Event,
    /// <summary>An enrolment token.</summary>
    EnrolmentToken,
    /// <summary>An API token.</summary>
    ApiToken,
    /// <summary>A person, or what a person may do.</summary>
    Person,
    /// <summary>A project.</summary>
    Project,
}

/// <summary>Something changed; read it again to see how.</summary>
public readonly record struct Change(ChangeKind Kind, Guid Id);

/// <summary>Tells of changes after they are committed. It carries ids only: whoever cares reads again.</summary>
public interface IChangeFeed
{
    /// <summary>Calls <paramref name="onChange"/> for every change until the subscription is disposed. It must return at once and not throw: it runs on the thread that made the change.</summary>
    IDisposable Subscribe(Action<Change> onChange);
}
