using Exitless.Vmm.Control;

namespace Exitless.Agent.Foreground;

/// <summary>Types standard input into the guest's console, as fast as the guest reads it.</summary>
internal static class TerminalInput
{
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(50);

    /// <summary>Returns when the input or the VM has ended.</summary>
    public static async Task TypeAsync(Stream input, VmmClient client, TimeProvider time, CancellationToken stop)
    {
        var buffer = new byte[64];
        try
        {
            while (await input.ReadAsync(buffer, stop) is var count and > 0)
                await WriteAsync(client, buffer.AsMemory(0, count), time, stop);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or VmmProblemException or ObjectDisposedException)
        {
            // There is nobody left to type to, or nothing to read from.
        }
    }

    private static async Task WriteAsync(VmmClient client, ReadOnlyMemory<byte> text, TimeProvider time, CancellationToken stop)
    {
        while (true)
        {
            try
            {
                await client.WriteConsoleAsync(text, stop);
                return;
            }
            catch (VmmProblemException e) when (string.Equals(e.Code, "console-input-full", StringComparison.Ordinal))
            {
                await Task.Delay(Retry, time, stop);
            }
        }
    }
}
