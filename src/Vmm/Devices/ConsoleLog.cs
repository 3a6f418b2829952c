using Exitless.Linux;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Devices;

/// <summary>The console's output on disk. At 8 MiB the file moves to <c>name.1</c>, in place of the one before, so a talkative guest fills no disk.</summary>
internal sealed class ConsoleLog : IDisposable
{
    public const long MaxBytes = 8 << 20;

    private readonly string _path;
    private SafeFileHandle? _file;
    private long _size;

    public ConsoleLog(string path)
    {
        _path = path;
        Open();
    }

    /// <summary>Appends. A full or broken disk silences the log, never the guest.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        if (_file is null)
            return;
        try
        {
            if (_size + data.Length > MaxBytes)
            {
                _file.Dispose();
                _file = null;
                File.Move(_path, _path + ".1", overwrite: true);
                Open();
            }
            Files.WriteAll(_file!, data);
            _size += data.Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _file?.Dispose();
            _file = null;
        }
    }

    public void Dispose() => _file?.Dispose();

    private void Open()
    {
        _file = Files.Open(_path, OpenMode.Write | OpenMode.Create | OpenMode.Append, 0x180);
        _size = Files.Size(_file);
    }
}
