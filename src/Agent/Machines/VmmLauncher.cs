using Exitless.Agent.Storage;
using Exitless.Linux;
using Exitless.Linux.Sysfs;
using Exitless.Vmm;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Machines;

/// <summary>Starts a VMM process that outlives the agent, and finds one that an earlier agent started.</summary>
/// <param name="program">The VMM's file: see <see cref="ProgramBeside"/>.</param>
/// <param name="socket">Where the control socket of the only VM of this launcher is made; null: in each VM's folder.</param>
internal sealed class VmmLauncher(string program, string runFolder, HostRoot root, TimeProvider time, string? socket = null)
{
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan AdoptLimit = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(5);

    /// <summary>The file that VMs run from: exitless-vmm where it is beside the agent's own, which takes 3 MB less of each VM; else the agent's own, which does the same.</summary>
    public static string ProgramBeside(string agent) => Path.Combine(Path.GetDirectoryName(agent)!, "exitless-vmm") is var own && File.Exists(own) ? own : agent;

    public string FolderOf(string vmId) => Path.Combine(runFolder, "vms", vmId);

    public string SocketOf(string vmId) => socket ?? Path.Combine(FolderOf(vmId), "vmm.sock");

    public string VsockOf(string vmId) => VsockBeside(SocketOf(vmId));

    public static string VsockBeside(string socket) => Path.Combine(Path.GetDirectoryName(socket)!, "vsock.sock");

    public string ConsoleLogOf(string vmId) => Path.Combine(FolderOf(vmId), "console.log");

    /// <summary>Starts a process and connects to it. Throws with nothing left behind.</summary>
    /// <exception cref="ProblemException">vmm-not-started.</exception>
    public async Task<RunningVm> StartAsync(string vmId, CancellationToken stop)
    {
        var folder = FolderOf(vmId);
        AtomicFile.CreateFolder(runFolder);
        AtomicFile.CreateFolder(Path.GetDirectoryName(folder)!);
        AtomicFile.CreateFolder(folder);
        File.Delete(SocketOf(vmId));
        ProcessDescriptor process;
        try
        {
            process = Spawn(vmId, Path.Combine(folder, "vmm.log"));
        }
        catch (LinuxException e)
        {
            throw NotStarted(e.Message, e);
        }
        VmCgroup.Enter(root, vmId, process.Id);
        try
        {
            var client = await ConnectAsync(SocketOf(vmId), () => process.HasEnded, ConnectLimit, stop);
            if (client.Hello.Protocol != VmmClient.Protocol)
            {
                await client.DisposeAsync();
                throw new IOException($"{program} is of another version than this agent (protocol {client.Hello.Protocol} instead of {VmmClient.Protocol}): copy both files of one build.");
            }
            return new RunningVm(process, client, SocketOf(vmId), 0, time);
        }
        catch (Exception e)
        {
            process.Signal(9);
            await process.WaitForExitAsync(CancellationToken.None);
            process.Dispose();
            Forget(vmId);
            if (e is IOException or TimeoutException or VmmProblemException)
                throw NotStarted($"{e.Message} {LastLine(Path.Combine(folder, "vmm.log"))}".Trim(), e);
            throw;
        }
    }

    /// <summary>Connects to the process of a VM that an earlier agent started.</summary>
    /// <returns>Null: it is gone.</returns>
    /// <exception cref="ProblemException">vmm-not-answering: the process is there, but does not answer.</exception>
    public async Task<RunningVm?> AdoptAsync(string vmId, int processId, CancellationToken stop)
    {
        var process = IsVmmOf(processId, vmId) ? ProcessDescriptor.Open(processId) : null;
        try
        {
            var client = await ConnectAsync(SocketOf(vmId), () => process is null || process.HasEnded, AdoptLimit, stop);
            process ??= ProcessDescriptor.Open(client.Hello.ProcessId);
            if (process is not null)
                return new RunningVm(process, client, SocketOf(vmId), client.Hello.StartedAt, time);
            await client.DisposeAsync();
            return null;
        }
        catch (Exception e) when (e is IOException or TimeoutException or VmmProblemException)
        {
            if (process is null || process.HasEnded)
            {
                process?.Dispose();
                return null;
            }
            process.Dispose();
            throw new ProblemException(
                "vmm-not-answering", "The VM's process does not answer", $"Process {processId} of this VM runs, but: {e.Message}",
                $"The guest may well run on. To give it up, end process {processId} on the host, then start the VM again.", "", e);
        }
    }

    /// <summary>Ends a VM's process that does not answer.</summary>
    public async Task KillAsync(string vmId, int processId)
    {
        using var process = IsVmmOf(processId, vmId) ? ProcessDescriptor.Open(processId) : null;
        if (process?.Signal(9) == true)
            await process.WaitForExitAsync(CancellationToken.None);
    }

    /// <summary>Removes what a VM that is gone left in the run folder, but its logs.</summary>
    public void Forget(string vmId)
    {
        if (Directory.Exists(FolderOf(vmId)))
        {
            File.Delete(SocketOf(vmId));
            File.Delete(VsockOf(vmId));
        }
        VmCgroup.Remove(root, vmId);
    }

    private ProcessDescriptor Spawn(string vmId, string log)
    {
        var arguments = VmSandbox.Arguments(vmId);
        var request = new SpawnRequest { Path = program, Arguments = [VmmCommandLine.Name, VmmCommandLine.SocketOption, SocketOf(vmId), .. arguments], OutputPath = log, Environment = VmmProcess.Environment };
        if (arguments.Length == 0 || !VmmProcess.IsRoot)
            return ProcessSpawn.Start(request);
        var process = ProcessSpawn.StartInOwnNamespaces(request, out var refused);
        if (refused is not null)
            File.AppendAllText(log, $"The VM's process stays in the host's namespaces: {refused.Message}\n");
        return process;
    }

    private async Task<VmmClient> ConnectAsync(string path, Func<bool> gone, TimeSpan limit, CancellationToken stop)
    {
        var start = time.GetTimestamp();
        while (true)
        {
            try
            {
                using var attempt = CancellationTokenSource.CreateLinkedTokenSource(stop);
                attempt.CancelAfter(limit);
                return await VmmClient.ConnectAsync(path, attempt.Token);
            }
            catch (IOException e)
            {
                // The socket appears when the process is up; before, there is no file or nobody listens.
                if (gone())
                    throw new IOException("The process has ended.", e);
                if (time.GetElapsedTime(start) > limit)
                    throw new TimeoutException($"It did not answer within {limit.TotalSeconds:0} s ({e.Message}).", e);
            }
            catch (OperationCanceledException e) when (!stop.IsCancellationRequested)
            {
                throw new TimeoutException($"It did not answer within {limit.TotalSeconds:0} s.", e);
            }
            await Task.Delay(Retry, time, stop);
        }
    }

    // Process ids are used again: only one whose command line names this VM's socket is its VMM.
    private bool IsVmmOf(int processId, string vmId) =>
        processId > 0 && SysfsFile.Text(root.Proc($"{processId}/cmdline"))?.Contains(SocketOf(vmId), StringComparison.Ordinal) == true;

    private static ProblemException NotStarted(string reason, Exception cause) => new(
        "vmm-not-started", "The VM's process could not be started", reason, "The agent's log and vmm.log in the VM's run folder say more.", "", cause);

    private static string LastLine(string path)
    {
        try
        {
            return File.ReadLines(path).LastOrDefault() ?? "";
        }
        catch (IOException)
        {
            return "";
        }
    }
}
