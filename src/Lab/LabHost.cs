using System.Diagnostics;
using System.Net.Sockets;
using Exitless.Lab.Cache;
using Exitless.Lab.Initramfs;
using Exitless.Lab.Machine;

namespace Exitless.Lab;

/// <summary>
/// An emulated SR-IOV host that runs: QEMU's software emulation of an AMD CPU with nested paging, an Intel IOMMU with interrupt
/// remapping, and 82576 NICs. The kernel, KVM and VFIO inside are the stock ones.
/// </summary>
public sealed class LabHost : IAsyncDisposable
{
    private static readonly TimeSpan QuitLimit = TimeSpan.FromSeconds(10);
    private readonly RunFolder _folder;
    private readonly FileStream _held;
    private readonly ControlShell _shell;
    private readonly TimeProvider _time;
    private readonly Process _qemu;
    private readonly Lifeline _lifeline;
    private readonly Task _log;
    private int _cleaned;

    private LabHost(LabHostOptions options, RunFolder folder, FileStream held, Process qemu)
    {
        (_folder, _held, _qemu, _time) = (folder, held, qemu, options.Time);
        (Name, ProcessId) = (options.Name, qemu.Id);
        _shell = new ControlShell(folder, options.Time);
        _lifeline = new Lifeline(qemu.Id);
        _log = LogAsync();
    }

    /// <summary>The host's name.</summary>
    public string Name { get; }

    /// <summary>What the host's kernel, its agent and its scripts have printed.</summary>
    public string ConsoleLogPath => _folder.Console;

    /// <summary>Folder with the logs and sockets.</summary>
    public string RunFolderPath => _folder.Root;

    /// <summary>Id of the QEMU process on this machine.</summary>
    public int ProcessId { get; }

    /// <summary>Time from the start of QEMU to the shell.</summary>
    public TimeSpan BootTime { get; private set; }

    /// <summary>Completes when the host has ended, for whatever reason.</summary>
    public Task WaitForEndAsync(CancellationToken cancel) => _qemu.WaitForExitAsync(cancel);

    /// <summary>Fills the cache where needed, builds the host's initramfs, boots it, and returns when its shell answers.</summary>
    /// <exception cref="LabException">An option cannot be, something is missing, a host of that name runs, or the host ended while booting.</exception>
    /// <exception cref="TimeoutException">Its shell did not come within <see cref="LabHostOptions.BootLimit"/>.</exception>
    public static async Task<LabHost> StartAsync(LabHostOptions options, CancellationToken cancel)
    {
        options.Check();
        var folder = RunFolder.Of(options.RunRoot, options.Name);
        var say = options.Progress ?? (_ => { });
        var files = await Preparation.EnsureAsync(LabCache.Root, renew: false, say, cancel);
        if (options.Eli)
            options = options with { Modules = [.. options.Modules, .. (await EliModules.EnsureAsync(LabCache.Root, files, say, cancel)).Files] };
        var held = folder.Take();
        LabHost? host = null;
        try
        {
            say("building the initramfs");
            await using (var image = File.Create(folder.Initramfs))
                await new HostImage(files, options, QemuCommand.ManagementMac(options.Name)).WriteAsync(image, folder.GuestInitrd, cancel);
            if (options.Nvme)
            {
                await using var disk = File.Create(folder.NvmeDisk);
                disk.SetLength(64L << 20);
            }
            say($"booting {options.Name}; console log: {folder.Console}");
            var started = options.Time.GetTimestamp();
            host = new LabHost(options, folder, held, Launch(options, folder, files));
            await host.WaitUntilReadyAsync(options.BootLimit, cancel);
            host.BootTime = options.Time.GetElapsedTime(started);
            // QEMU has read the image into memory.
            File.Delete(folder.Initramfs);
            return host;
        }
        catch
        {
            if (host is not null)
                await host.KillAsync();
            else
                await held.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a script with <c>sh</c> as root in the host.</summary>
    /// <param name="command">The script; at most 32 KiB.</param>
    /// <param name="limit">The host kills it after that; whole seconds.</param>
    /// <param name="cancel">Stops waiting, not the command.</param>
    /// <exception cref="TimeoutException">It did not end within the limit.</exception>
    public Task<LabShellResult> ShellAsync(string command, TimeSpan limit, CancellationToken cancel) => _shell.RunAsync(command, limit, cancel);

    /// <summary>Runs a script in a host that another process started.</summary>
    /// <exception cref="LabException">No host of that name runs.</exception>
    public static Task<LabShellResult> ShellAsync(string? runRoot, string name, string command, TimeSpan limit, CancellationToken cancel)
        => new ControlShell(Find(runRoot, name), TimeProvider.System).RunAsync(command, limit, cancel);

    /// <summary>Ends a host that another process started; that process sees it end.</summary>
    /// <exception cref="LabException">No host of that name runs.</exception>
    public static async Task StopAsync(string? runRoot, string name, CancellationToken cancel)
    {
        var folder = Find(runRoot, name);
        try
        {
            await using var qmp = await QmpClient.ConnectAsync(folder.Qmp, cancel);
            await qmp.ExecuteAsync("quit", cancel);
        }
        catch (SocketException e)
        {
            throw new LabException($"{name} cannot be stopped: its QEMU does not answer at {folder.Qmp} ({e.Message}).", "It is starting or ending; try again in a moment, or end the process that started it.");
        }
    }

    /// <summary>Names of the hosts that run.</summary>
    public static IReadOnlyList<string> Running(string? runRoot) => [.. RunFolder.Running(runRoot)];

    /// <summary>Ends the host through QEMU's own door; kills it when that takes more than ten seconds. A second call does nothing.</summary>
    public async Task StopAsync()
    {
        if (Volatile.Read(ref _cleaned) != 0)
            return;
        if (!_qemu.HasExited)
        {
            using var limit = new CancellationTokenSource(QuitLimit, _time);
            try
            {
                await using var qmp = await QmpClient.ConnectAsync(_folder.Qmp, limit.Token);
                await qmp.ExecuteAsync("quit", limit.Token);
                await _qemu.WaitForExitAsync(limit.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or IOException)
            {
                // It ends below all the same.
            }
        }
        await KillAsync();
    }

    /// <summary>Ends the host at once, as a power cut would. A second call does nothing.</summary>
    public async Task KillAsync()
    {
        if (Volatile.Read(ref _cleaned) != 0)
            return;
        if (!_qemu.HasExited)
            _qemu.Kill();
        await _qemu.WaitForExitAsync();
        if (Interlocked.Exchange(ref _cleaned, 1) != 0)
            return;
        await _log;
        _lifeline.Dispose();
        _qemu.Dispose();
        _folder.RemoveImages();
        await _held.DisposeAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task WaitUntilReadyAsync(TimeSpan limit, CancellationToken cancel)
    {
        using var bounded = new CancellationTokenSource(limit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(bounded.Token, cancel);
        try
        {
            var first = await Task.WhenAny(_qemu.WaitForExitAsync(either.Token), GreetAsync(either.Token));
            if (_qemu.HasExited)
                throw await EndedAsync();
            await first;
        }
        catch (OperationCanceledException e) when (bounded.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new TimeoutException($"The host {Name} did not reach its shell within {limit.TotalSeconds} s; see {ConsoleLogPath}.", e);
        }
        catch (Exception e) when (e is SocketException or IOException or LabException && _qemu.HasExited)
        {
            throw await EndedAsync(e);
        }
    }

    // QEMU makes its sockets some time after its start, and makes them before it listens.
    private async Task GreetAsync(CancellationToken cancel)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50), _time);
        while (true)
        {
            try
            {
                await _shell.WaitUntilReadyAsync(cancel);
                return;
            }
            catch (Exception e) when (e is SocketException or IOException or LabException && !_qemu.HasExited)
            {
                // Not there yet, or on its way out: then its end comes next, with what QEMU said.
                await timer.WaitForNextTickAsync(cancel);
            }
        }
    }

    private async Task<LabException> EndedAsync(Exception? cause = null)
    {
        await _qemu.WaitForExitAsync();
        await _log;
        var said = (await File.ReadAllTextAsync(_folder.QemuLog)).Trim();
        return new LabException($"The host {Name} ended while it booted (QEMU's exit code {_qemu.ExitCode}). {said}".Trim(), $"Read {ConsoleLogPath}.", cause);
    }

    private static RunFolder Find(string? runRoot, string name)
    {
        var folder = RunFolder.Of(runRoot, name);
        return folder.IsHeld() ? folder
            : throw new LabException($"No host {name} runs{(Running(runRoot) is { Count: > 0 } others ? $"; these do: {string.Join(", ", others)}" : "")}.",
                "Start it with `exitless-lab boot --name …`.");
    }

    private static Process Launch(LabHostOptions options, RunFolder folder, LabFiles files)
    {
        var program = new QemuProgram(files.Qemu);
        var start = new ProcessStartInfo(program.File, [.. program.LeadingArguments, .. QemuCommand.Build(options, folder, files.Kernel, program.FirmwareArguments)])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in program.Environment)
            start.Environment[name] = value;
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    private async Task LogAsync()
    {
        await using var file = new FileStream(_folder.QemuLog, FileMode.Create, FileAccess.Write, FileShare.Read);
        var output = _qemu.StandardOutput.BaseStream.CopyToAsync(file);
        var errors = await _qemu.StandardError.ReadToEndAsync();
        await output;
        await file.WriteAsync(System.Text.Encoding.UTF8.GetBytes(errors));
    }
}
