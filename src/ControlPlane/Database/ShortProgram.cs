using System.Diagnostics;

namespace Exitless.ControlPlane.Database;

/// <summary>Runs a short program and takes its words.</summary>
internal static class ShortProgram
{
    public static (int Code, string Output) Run(string file, IEnumerable<string> arguments)
    {
        using var process = Begin(file, arguments);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd() + error.GetAwaiter().GetResult();
        process.WaitForExit();
        return (process.ExitCode, output.Trim());
    }

    public static async Task<(int Code, string Output)> RunAsync(string file, IEnumerable<string> arguments, CancellationToken ct)
    {
        using var process = Begin(file, arguments);
        var output = process.StandardOutput.ReadToEndAsync(ct);
        var error = process.StandardError.ReadToEndAsync(ct);
        await process.WaitForExitAsync(ct);
        return (process.ExitCode, (await output + await error).Trim());
    }

    private static Process Begin(string file, IEnumerable<string> arguments)
    {
        // The root folder, because another user may not be able to enter the current one.
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = "/" };
        start.Environment["LC_ALL"] = "C.UTF-8";
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{file} did not start.");
        process.StandardInput.Close();
        return process;
    }
}
