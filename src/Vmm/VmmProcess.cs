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
        CurrentThread.SetName("exitless-vmm");
        var sandbox = new ProcessSandbox(user, emptyFolder);
        return RunAsync(socketPath, (c, d, console, ended) => MachineBuilder.Launch(c, d, console, ended, sandbox.Enter), TimeProvider.System, cancellationToken, sandbox.Settle);
    }

    /// <summary>
    /// Variables that the process is to be started with. One pool for malloc(3) instead of one for each thread; and a garbage collector that collects after 2 MiB of allocations: by itself it
    /// would wait for as much as the CPU's last cache holds, and the process would grow by that over days.
    /// </summary>
    public static IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["MALLOC_ARENA_MAX"] = "1",
        ["DOTNET_GCgen0size"] = "200000",
    };

    /// <summary>True where this process is the superuser's, so that there is something to give up.</summary>
    public static bool IsRoot => Privileges.IsRoot;

    internal static async Task RunAsync(string socketPath, MachineLauncher launcher, TimeProvider time, CancellationToken cancellationToken, Action? launched = null)
    {
        using var server = new ControlServer(socketPath, launcher, time, launched);
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
