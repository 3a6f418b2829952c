namespace Exitless.Vmm.Control;

/// <summary>How the bytes of a disk lie in its file. It is always said, never guessed: a guest that writes the header of another format into a raw disk must not change what the disk is.</summary>
public enum DiskFormat
{
    /// <summary>Byte for byte; also for block devices.</summary>
    Raw,

    /// <summary>QEMU's copy-on-write format, versions 2 and 3.</summary>
    Qcow2,
}

/// <summary>A virtio disk. Its files are in <see cref="VmmDescriptors.Disks"/>.</summary>
public sealed record DiskConfig
{
    /// <summary>Names the disk in this VM: 1 to 20 letters, digits, hyphens, dots and underscores. It is the serial number too, so the guest finds the disk as /dev/disk/by-id/virtio-ID.</summary>
    public required string Id { get; init; }

    /// <summary>The format of the disk's own file.</summary>
    public DiskFormat Format { get; init; }

    /// <summary>True: the guest can write nothing, and the descriptor may be open for reading only.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>The serial number that the guest reads, at most 20 bytes of ASCII; empty: <see cref="Id"/>.</summary>
    // The JSON reader sets absent members to null.
    public string Serial { get => field ?? ""; init; }

    /// <summary>The formats of the chain of backing files, the nearest first; empty without one. They are only ever read.</summary>
    public IReadOnlyList<DiskFormat> BackingFormats { get => field ?? []; init; }
}
