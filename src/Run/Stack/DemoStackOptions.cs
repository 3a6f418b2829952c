namespace Exitless.Run.Stack;

/// <summary>Where the published programs are and where their data goes.</summary>
/// <param name="Artifacts">Folder with <c>agent/</c> and <c>web/</c>, as <c>scripts/build</c> fills it.</param>
/// <param name="DataFolder">The control plane's data folder.</param>
/// <param name="HttpsPort">Port for people and scripts.</param>
/// <param name="AgentPort">Port for agents.</param>
public sealed record DemoStackOptions(string Artifacts, string DataFolder, int HttpsPort, int AgentPort)
{
    /// <summary>Takes lines about what is being done.</summary>
    public Action<string> Say { get; init; } = _ => { };

    /// <summary>Folder of the lab hosts' run folders; null: the lab's own.</summary>
    public string? LabRunRoot { get; init; }

    /// <summary>The published agent.</summary>
    public string AgentFile => Path.Combine(Artifacts, "agent", "exitless-agent");

    /// <summary>How to start the control plane.</summary>
    public ControlPlaneOptions ControlPlane => new(Path.Combine(Artifacts, "web", "Exitless.Web.dll"), DataFolder, HttpsPort, AgentPort);
}
