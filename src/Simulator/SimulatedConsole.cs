using System.Text;
using Exitless.Contracts;
using Google.Protobuf;

namespace Exitless.Simulator;

/// <summary>The serial console of one run: a few lines of a boot, then a prompt that answers every line with what was typed.</summary>
internal sealed class SimulatedConsole(string vmName)
{
    private const int MostKept = 64 * 1024;

    private readonly List<byte> _output = [.. Encoding.UTF8.GetBytes(
        $"[    0.000000] Linux version 6.12.0-simulated\r\n[    0.412000] simulated: no kernel runs here, the agent link is real\r\n[    1.204000] simulated: guest {vmName} is up\r\n{vmName}:~# ")];
    private readonly List<byte> _line = [];
    private ulong _start;

    public bool Attached { get; set; }

    /// <summary>Output from an offset on.</summary>
    public ConsoleOutput From(string vmId, ulong offset)
    {
        var skip = offset <= _start ? 0 : (int)Math.Min(offset - _start, (ulong)_output.Count);
        return new ConsoleOutput { VmId = vmId, Offset = _start + (ulong)skip, Data = ByteString.CopyFrom([.. _output.Skip(skip)]) };
    }

    /// <summary>Takes what was typed.</summary>
    /// <returns>What it makes the guest write.</returns>
    public ConsoleOutput Type(string vmId, ReadOnlySpan<byte> typed)
    {
        var before = _start + (ulong)_output.Count;
        foreach (var key in typed)
        {
            if (key == '\r')
            {
                _output.AddRange(Encoding.UTF8.GetBytes($"\r\nsimulated: {Encoding.UTF8.GetString([.. _line])}\r\n{vmName}:~# "));
                _line.Clear();
            }
            else
            {
                _output.Add(key);
                _line.Add(key);
            }
        }
        var answer = From(vmId, before);
        if (_output.Count > MostKept)
        {
            var gone = _output.Count - MostKept / 2;
            _output.RemoveRange(0, gone);
            _start += (ulong)gone;
        }
        return answer;
    }
}
