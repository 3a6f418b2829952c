using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Devices;

/// <summary>
/// The console's output on disk. At 8 MiB the file is copied over <c>name.1</c> and begins anew, so a talkative guest fills no disk. Both files are opened at the start:
/// a process with a running guest opens nothing.
/// </summary>
internal sealed class ConsoleLog : IDisposable
{
    public const long MaxBytes = 8 << 20;
    private const int CopyBytes = 64 << 10;

    private readonly SafeFileHandle _file;
    private readonly SafeFileHandle _older;
    private long _size;
    private bool _broken;

    public ConsoleLog(string path)
    {
        _file = Files.Open(path, OpenMode.ReadWrite | OpenMode.Create | OpenMode.Append, 0x180);
        try
        {
            _older = Files.Open(path + ".1", OpenMode.Write | OpenMode.Create, 0x180);
            _size = Files.Size(_file);
        }
        catch
        {
            _older?.Dispose();
            _file.Dispose();
            throw;
        }
    }

    /// <summary>Appends. A full or broken disk silences the log, never the guest.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (_broken)
            return;
        try
        {
            if (_size + data.Length > MaxBytes)
                Turn();
            Files.WriteAll(_file, data);
            _size += data.Length;
        }
        catch (IOException)
        {
            _broken = true;
        }
    }

    public void Dispose()
    {
        _file.Dispose();
        _older.Dispose();
    }

    private void Turn()
    {
        var buffer = new byte[CopyBytes];
        long copied = 0;
        Files.SetSize(_older, 0);
        while (Files.ReadAt(_file, buffer, copied) is var count and > 0)
        {
            for (var done = 0; done < count;)
            {
                var written = Files.TryWriteAt(_older, buffer.AsSpan(done, count - done), copied + done, out var error);
                done += written > 0 ? written : throw new LinuxException("pwrite", error);
            }
            copied += count;
        }
        Files.SetSize(_file, 0);
        _size = 0;
    }
}
