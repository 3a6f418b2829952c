using System.Globalization;
using System.Runtime.InteropServices;

namespace Exitless.Vmm;

/// <summary>The words that start a VMM's process: <c>vmm --socket PATH [--sandbox USER]</c>.</summary>
public static class VmmCommandLine
{
    /// <summary>The words.</summary>
    public const string Name = "vmm", SocketOption = "--socket";

    /// <summary>With the number of the user that the process is to become; 0: it stays who it is.</summary>
    public const string SandboxOption = "--sandbox";

    /// <summary>True for words that start a VMM's process.</summary>
    public static bool Is(ReadOnlySpan<string> args) => args is [Name, SocketOption, _] or [Name, SocketOption, _, SandboxOption, _];

    /// <summary>Runs a VM.</summary>
    /// <returns>The program's exit code; 2 for other words.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        if (!Is(args) || (args.Length > 4 && !uint.TryParse(args[4], NumberStyles.None, CultureInfo.InvariantCulture, out _)))
        {
            await Console.Error.WriteLineAsync($"Usage: exitless-vmm {Name} {SocketOption} PATH [{SandboxOption} USER]. Started by the agent, not by people.");
            return 2;
        }
        await RunAsync(args[2], args.Length > 4 ? uint.Parse(args[4], CultureInfo.InvariantCulture) : null);
        return 0;
    }

    /// <summary>Runs a VM until a client ends it, or SIGTERM or SIGINT comes.</summary>
    /// <param name="socket">Where the control socket is made.</param>
    /// <param name="user">See <see cref="SandboxOption"/>; null: no sandbox.</param>
    public static async Task RunAsync(string socket, uint? user)
    {
        using var stop = new CancellationTokenSource();
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        if (user is not { } owner)
        {
            await VmmProcess.RunAsync(socket, stop.Token);
            return;
        }
        var empty = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(socket))!, "empty");
        if (owner != 0)
            Directory.CreateDirectory(empty, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await VmmProcess.RunConfinedAsync(socket, owner, empty, stop.Token);
    }
}
