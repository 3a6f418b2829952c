using Exitless.Agent.Machines;

namespace Exitless.Agent.Foreground;

/// <param name="RunFolder">Where the VM has its folder.</param>
/// <param name="Socket">The control socket's path; null: in the VM's folder.</param>
/// <param name="Json">True: statistics as JSON lines, at the end and at each SIGUSR1.</param>
/// <param name="StopLimit">How long the guest may take to switch itself off.</param>
/// <param name="Vfio">How the VM gets its devices.</param>
internal sealed record BootOptions(string RunFolder, string? Socket, bool Json, TimeSpan StopLimit, VfioInterface Vfio = VfioInterface.Auto);
