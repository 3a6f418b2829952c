using System.Buffers;
using Exitless.Linux;

namespace Exitless.GuestReporter;

/// <summary>Once a second tells the host what this guest has counted of its devices' interrupts, for as long as it runs; connects again when the host's end has gone.</summary>
internal sealed class Reporter(TimeProvider time)
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);
    // A host that does not ask for reports refuses the connection: it is asked again, but not every second.
    private const int RetryPeriods = 5;
    private readonly ArrayBufferWriter<byte> _line = new();
    private byte[] _text = new byte[16 * 1024];

    /// <summary>The report of this moment.</summary>
    /// <exception cref="LinuxException">/proc/interrupts cannot be read.</exception>
    public ReadOnlySpan<byte> Take()
    {
        var length = 0;
        using (var file = Files.Open("/proc/interrupts", OpenMode.Read))
        {
            while (Files.Read(file, _text.AsSpan(length)) is > 0 and var count)
            {
                length += count;
                if (length == _text.Length)
                    Array.Resize(ref _text, _text.Length * 2);
            }
        }
        _line.ResetWrittenCount();
        ReportLine.Write(_text.AsSpan(0, length), _line);
        return _line.WrittenSpan;
    }

    /// <summary>Reports until the process is ended.</summary>
    public async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Period, time);
        var (socket, rest, said) = ((VsockSocket?)null, 0, "");
        while (await timer.WaitForNextTickAsync())
        {
            if (socket is null && rest-- > 0)
                continue;
            try
            {
                socket ??= VsockSocket.Connect(VsockSocket.HostCid, ReportLine.Port);
                socket.Send(Take());
                Say("reports to the host");
            }
            catch (LinuxException e)
            {
                socket?.Dispose();
                (socket, rest) = (null, RetryPeriods - 1);
                Say($"waits for the host: {e.Message}");
            }
        }

        // Once for each change: what goes on for days fills no log.
        void Say(string words)
        {
            if (said != words)
                Console.Error.WriteLine($"exitless-guest-reporter: {words}");
            said = words;
        }
    }
}
