using Exitless.Vmm.Control;

namespace Exitless.Vmm;

/// <summary>The VMM's process: one VM, launched and watched through a Unix socket by any number of clients over its life.</summary>
public static class VmmProcess
{
    /// <summary>Serves a control socket (made with mode 0600) until a client ends the VM, see <see cref="VmmClient"/>.</summary>
    /// <param name="socketPath">Where the socket is made; at most 107 bytes.</param>
    /// <param name="cancellationToken">Ends the guest at once and leaves.</param>
    public static Task RunAsync(string socketPath, CancellationToken cancellationToken) => RunAsync(socketPath, MachineBuilder.Launch, TimeProvider.System, cancellationToken);

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
