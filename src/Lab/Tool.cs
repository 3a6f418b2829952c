using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Exitless.Lab;

/// <summary>What a program printed and how it ended.</summary>
internal sealed record ToolResult(int ExitCode, string Output, string Errors);

/// <summary>Runs one of the machine's programs to its end.</summary>
internal static class Tool
{
    /// <summary>Runs a program and returns whatever it did; a program that is not there is a <see cref="LabException"/>.</summary>
    public static async Task<ToolResult> TryAsync(string program, IEnumerable<string> arguments, CancellationToken cancel,
        IReadOnlyDictionary<string, string>? environment = null)
    {
        using var output = new MemoryStream();
        var (code, errors) = await RunAsync(program, arguments, output, environment, cancel);
        return new ToolResult(code, Encoding.UTF8.GetString(output.GetBuffer(), 0, (int)output.Length), errors);
    }

    /// <summary>Runs a program that must succeed, and returns what it printed.</summary>
    public static async Task<string> TextAsync(string program, IEnumerable<string> arguments, string remedy, CancellationToken cancel)
    {
        var list = arguments.ToList();
        var result = await TryAsync(program, list, cancel);
        return result.ExitCode == 0 ? result.Output : throw Failed(program, list, result.ExitCode, result.Output + result.Errors, remedy);
    }

    /// <summary>Runs a program that must succeed, and returns the bytes it printed.</summary>
    public static async Task<byte[]> BytesAsync(string program, IEnumerable<string> arguments, string remedy, CancellationToken cancel)
    {
        var list = arguments.ToList();
        using var output = new MemoryStream();
        var (code, errors) = await RunAsync(program, list, output, null, cancel);
        return code == 0 ? output.ToArray() : throw Failed(program, list, code, errors, remedy);
    }

    private static LabException Failed(string program, List<string> arguments, int code, string said, string remedy)
        => new($"`{program} {string.Join(' ', arguments)}` ended with {code}:{Environment.NewLine}{said.Trim()}{Environment.NewLine}", remedy);

    private static async Task<(int Code, string Errors)> RunAsync(string program, IEnumerable<string> arguments, Stream output,
        IReadOnlyDictionary<string, string>? environment, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["LC_ALL"] = "C.UTF-8";
        foreach (var (name, value) in environment ?? new Dictionary<string, string>(StringComparer.Ordinal))
            start.Environment[name] = value;
        using var process = Start(start);
        process.StandardInput.Close();
        try
        {
            var errors = process.StandardError.ReadToEndAsync(cancel);
            await process.StandardOutput.BaseStream.CopyToAsync(output, cancel);
            await process.WaitForExitAsync(cancel);
            return (process.ExitCode, await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new LabException($"The program `{start.FileName}` cannot be started: {e.Message}.",
                "The lab needs a Debian machine with apt, dpkg and libc-bin; install what is missing.", e);
        }
    }
}
