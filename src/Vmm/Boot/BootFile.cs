using Exitless.Linux;
using Exitless.Vmm.Control;
using Exitless.Vmm.Memory;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Boot;

/// <summary>A kernel or an initrd that came as a descriptor; what goes wrong with it is said as a problem.</summary>
/// <param name="file">The open file; the caller owns it.</param>
/// <param name="role"><c>kernel</c> or <c>initrd</c>: the word in codes and the field in problems.</param>
internal sealed class BootFile(SafeFileHandle file, string role)
{
    /// <summary>Bytes.</summary>
    /// <exception cref="VmmProblemException">kernel-unreadable, initrd-unreadable.</exception>
    public long Length()
    {
        try
        {
            return Files.Size(file);
        }
        catch (LinuxException e)
        {
            throw Unreadable(e);
        }
    }

    /// <summary>Reads the file's first bytes.</summary>
    /// <returns>How many were read; fewer than asked for only where the file is shorter.</returns>
    /// <exception cref="VmmProblemException">kernel-unreadable, initrd-unreadable.</exception>
    public int ReadHead(Span<byte> buffer)
    {
        try
        {
            var done = 0;
            while (done < buffer.Length && Files.ReadAt(file, buffer[done..], done) is var count and > 0)
                done += count;
            return done;
        }
        catch (LinuxException e)
        {
            throw Unreadable(e);
        }
    }

    /// <summary>Fills a buffer from an offset.</summary>
    /// <exception cref="VmmProblemException">kernel-unreadable, initrd-unreadable, kernel-truncated, initrd-truncated: the file became shorter since its length was taken.</exception>
    public void ReadAt(Span<byte> buffer, long offset)
    {
        try
        {
            Files.ReadExactlyAt(file, buffer, offset);
        }
        catch (EndOfStreamException e)
        {
            throw Truncated(e, offset + buffer.Length);
        }
        catch (LinuxException e)
        {
            throw Unreadable(e);
        }
    }

    /// <summary>Reads a part of the file straight into guest memory.</summary>
    /// <exception cref="VmmProblemException">kernel-unreadable, initrd-unreadable, kernel-truncated, initrd-truncated: the file became shorter since its length was taken.</exception>
    public void Load(GuestMemory memory, long offset, ulong address, long length)
    {
        try
        {
            memory.Load(file, offset, address, length);
        }
        catch (EndOfStreamException e)
        {
            throw Truncated(e, offset + length);
        }
        catch (LinuxException e)
        {
            throw Unreadable(e);
        }
    }

    private VmmProblemException Truncated(EndOfStreamException e, long expected) =>
        new($"{role}-truncated", $"The {role} became shorter while it was read.", $"{e.Message} It had {expected:#,0} or more when the VM started.",
            $"Leave the {role}'s file alone while a VM starts, and try again.", role, e);

    private VmmProblemException Unreadable(LinuxException e) =>
        new($"{role}-unreadable", $"The {role} cannot be read.", $"{e.Message}.", $"Choose a regular file as the {role}, on a disk that works.", role, e);
}
