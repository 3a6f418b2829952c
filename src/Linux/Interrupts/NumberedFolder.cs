using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Interrupts;

/// <summary>A folder whose entries have numbers as names, listed again and again (getdents64(2)). It stays open, and a listing allocates nothing; .NET makes a string of each name.</summary>
internal sealed partial class NumberedFolder(string path) : IDisposable
{
    private const OpenMode DirectoryOnly = (OpenMode)0x10000;
    private const int LengthOffset = 16, NameOffset = 19;   // struct linux_dirent64
    private const int SeekSet = 0;
    private SafeFileHandle? _folder;
    private List<int> _numbers = [];
    private List<int> _before = [];
    private bool _forgotten = true;

    /// <summary>The numbers as of the last <see cref="Read"/>, in the kernel's order; none where the folder is missing.</summary>
    public List<int> Numbers => _numbers;

    /// <summary>Lists the folder.</summary>
    /// <param name="error">Why it could not be opened; 0: it could, or it is missing.</param>
    /// <returns>True: as the last time.</returns>
    public bool Read(ReadMeter meter, out int error)
    {
        error = 0;
        (_before, _numbers) = (_numbers, _before);
        _numbers.Clear();
        _folder ??= Files.TryOpen(path, OpenMode.Read | DirectoryOnly, out error);
        if (error == Errno.NoEntry)
            error = 0;
        if (_folder is not null)
            List(_folder, meter);
        if (_numbers.Count == 0)
        {
            // A folder that was removed stays open and empty, also when there is a new one of its name.
            _folder?.Dispose();
            _folder = null;
        }
        var same = !_forgotten && CollectionsMarshal.AsSpan(_numbers).SequenceEqual(CollectionsMarshal.AsSpan(_before));
        _forgotten = false;
        return same;
    }

    /// <summary>The next listing counts as another one.</summary>
    public void Forget() => _forgotten = true;

    public void Dispose() => _folder?.Dispose();

    private void List(SafeFileHandle folder, ReadMeter meter)
    {
        Span<byte> buffer = stackalloc byte[4096];
        Seek(folder, 0, SeekSet);
        while (meter.Count((int)Entries(folder, ref MemoryMarshal.GetReference(buffer), (nuint)buffer.Length)) is var length and > 0)
        {
            for (var at = 0; at < length;)
            {
                var entry = buffer.Slice(at, BinaryPrimitives.ReadUInt16LittleEndian(buffer[(at + LengthOffset)..]));
                if (Number(entry[NameOffset..]) is var number and >= 0)
                    _numbers.Add(number);
                at += entry.Length;
            }
        }
    }

    // The name ends with a zero byte. What is no number, such as the folder itself, gives -1.
    private static int Number(ReadOnlySpan<byte> name)
    {
        var number = 0;
        foreach (var c in name[..name.IndexOf((byte)0)])
        {
            if (c is < (byte)'0' or > (byte)'9' || number > 100_000_000)
                return -1;
            number = number * 10 + c - '0';
        }
        return number;
    }

    [LibraryImport("libc", EntryPoint = "getdents64", SetLastError = true)]
    private static partial nint Entries(SafeHandle folder, ref byte buffer, nuint length);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeHandle folder, long offset, int whence);
}
