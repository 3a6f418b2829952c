using Exitless.Linux;
using Exitless.Linux.Confinement;
using Exitless.Vmm.Control;
using Exitless.Vmm.Sandbox;

namespace Exitless.Vmm;

/// <summary>The VMM's process: one VM, launched and watched through a Unix socket by any number of clients over its life.</summary>
public static class VmmProcess
{
    /// <summary>Serves a control socket (made with mode 0600) until a client ends the VM, see <see cref="VmmClient"/>.</summary>
    /// <param name="socketPath">Where the socket is made; at most 107 bytes.</param>
    /// <param name="cancellationToken">Ends the guest at once and leaves.</param>
    public static Task RunAsync(string socketPath, CancellationToken cancellationToken) => RunAsync(socketPath, (c, d, console, ended) => MachineBuilder.Launch(c, d, console, ended), TimeProvider.System, cancellationToken);

    /// <summary>As <see cref="RunAsync(string, CancellationToken)"/>, in a sandbox from before the guest's first instruction on. Only for a program that was compiled ahead of time.</summary>
    /// <param name="socketPath">Where the socket is made.</param>
    /// <param name="user">The user and group that the process becomes; 0: it stays who it is.</param>
    /// <param name="emptyFolder">An empty folder, which becomes the root of a process that changes its user.</param>
    /// <param name="cancellationToken">Ends the guest at once and leaves.</param>
    public static Task RunConfinedAsync(string socketPath, uint user, string emptyFolder, CancellationToken cancellationToken)
    {
        CurrentThread.SetName("exitless-vmm");   // after its new start the kernel would call it exe
        var sandbox = new ProcessSandbox(user, emptyFolder);
        return RunAsync(socketPath, (c, d, console, ended) => MachineBuilder.Launch(c, d, console, ended, sandbox.Enter), TimeProvider.System, cancellationToken);
    }

    /// <summary>Puts this process into namespaces of its own (mounts, network, IPC, host name), which means to begin anew with other arguments.</summary>
    /// <returns>Why that could not be; the process is as it was.</returns>
    public static string RestartInOwnNamespaces(IReadOnlyList<string> arguments)
    {
        try
        {
            Privileges.LeaveNamespaces();
            Privileges.Restart(arguments);
            return "";
        }
        catch (LinuxException e)
        {
            return e.Message;
        }
    }

    /// <summary>True where this process is the superuser's, so that there is something to give up.</summary>
    public static bool IsRoot => Privileges.IsRoot;

    internal static async Task RunAsync(string socketPath, MachineLauncher launcher, TimeProvider time, CancellationToken cancellationToken)
    {
        using var server = new ControlServer(socketPath, launcher, time);
        var finished = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                server.Run();
                finished.SetResult();
            }
            catch (Exception e)
            {
                finished.SetException(e);
            }
        })
        { Name = "control" };
        thread.Start();
        await using (cancellationToken.Register(server.Stop))
            await finished.Task;
    }
}
