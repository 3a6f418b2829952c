using System.Diagnostics;

namespace Exitless.Run.Stack;

/// <summary>How to start the control plane.</summary>
/// <param name="WebAssembly">Path of the published <c>Exitless.Web.dll</c>.</param>
/// <param name="DataFolder">Folder with database, CA and keys; made when it is missing.</param>
/// <param name="HttpsPort">Port for people and scripts.</param>
/// <param name="AgentPort">Port for agents.</param>
public sealed record ControlPlaneOptions(string WebAssembly, string DataFolder, int HttpsPort, int AgentPort)
{
    /// <summary>The command that starts it, or with arguments one of its commands (create-token, ...).</summary>
    public ProcessStartInfo Command(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [WebAssembly, .. arguments]) { WorkingDirectory = Path.GetDirectoryName(WebAssembly)! };
        start.Environment["ASPNETCORE_ENVIRONMENT"] = "Production";
        start.Environment["Exitless__DataFolder"] = DataFolder;
        start.Environment["Exitless__HttpsPort"] = $"{HttpsPort}";
        start.Environment["Exitless__AgentPort"] = $"{AgentPort}";
        start.Environment["DOTNET_gcServer"] = "0";
        return start;
    }
}
