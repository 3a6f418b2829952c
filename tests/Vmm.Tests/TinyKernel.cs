using System.Buffers.Binary;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Tests;

/// <summary>A bzImage of a few instructions: a true header around 64-bit code at the entry.</summary>
internal static class TinyKernel
{
    public const int PayloadOffset = 4096;
    public const uint InitBytes = 1 << 20;
    public const ulong LoadAddress = 0x1000000;

    /// <summary>mov ebx, [rsi+0x228]; then each byte of the command line to port 0x3F8.</summary>
    public static ReadOnlySpan<byte> PrintCommandLine =>
        [0x8b, 0x9e, 0x28, 0x02, 0, 0, 0xba, 0xf8, 0x03, 0, 0, 0x8a, 0x03, 0x84, 0xc0, 0x74, 0x06, 0xee, 0x48, 0xff, 0xc3, 0xeb, 0xf4];

    /// <summary>mov edx, 0x600; mov al, 0x34; out dx, al; hlt.</summary>
    public static ReadOnlySpan<byte> PowerOff => [0xba, 0, 0x06, 0, 0, 0xb0, 0x34, 0xee, 0xf4, 0xeb, 0xfd];

    /// <summary>mov edx, 0xcf9; mov al, 6; out dx, al; hlt.</summary>
    public static ReadOnlySpan<byte> Reset => [0xba, 0xf9, 0x0c, 0, 0, 0xb0, 6, 0xee, 0xf4, 0xeb, 0xfd];

    /// <summary>mov edx, 0x64; mov al, 0xfe; out dx, al; hlt.</summary>
    public static ReadOnlySpan<byte> KeyboardReset => [0xba, 0x64, 0, 0, 0, 0xb0, 0xfe, 0xee, 0xf4, 0xeb, 0xfd];

    /// <summary>ud2, without an IDT.</summary>
    public static ReadOnlySpan<byte> TripleFault => [0x0f, 0x0b];

    /// <summary>jmp to itself.</summary>
    public static ReadOnlySpan<byte> Spin => [0xeb, 0xfe];

    /// <summary>mov ebx, address; mov eax, [rbx]; four times the low byte to port 0x3F8.</summary>
    public static byte[] PrintDword(uint address) =>
    [
        0xbb, (byte)address, (byte)(address >> 8), (byte)(address >> 16), (byte)(address >> 24), 0x8b, 0x03, 0xba, 0xf8, 0x03, 0, 0,
        0xee, 0xc1, 0xe8, 8, 0xee, 0xc1, 0xe8, 8, 0xee, 0xc1, 0xe8, 8, 0xee,
    ];

    /// <summary>Switches the local APIC on, opens pin 4 of the IOAPIC for vector 0x40, enables the serial port's interrupt for an empty transmitter, and waits until the vector is requested (IRR).</summary>
    public static ReadOnlySpan<byte> WaitForSerialInterrupt =>
    [
        0xbb, 0xf0, 0, 0xe0, 0xfe, 0xc7, 0x03, 0xff, 0x01, 0, 0,                              // mov dword [0xfee000f0], 0x1ff
        0xbb, 0, 0, 0xc0, 0xfe, 0xc7, 0x03, 0x19, 0, 0, 0, 0xc7, 0x43, 0x10, 0, 0, 0, 0,      // entry 4, upper half: APIC 0
        0xc7, 0x03, 0x18, 0, 0, 0, 0xc7, 0x43, 0x10, 0x40, 0, 0, 0,                           // lower half: vector 0x40
        0xba, 0xf9, 0x03, 0, 0, 0xb0, 0x02, 0xee,                                             // out 0x3f9, 2
        0xbb, 0x20, 0x02, 0xe0, 0xfe, 0xf3, 0x90, 0xf7, 0x03, 1, 0, 0, 0, 0x74, 0xf6,         // pause; test dword [0xfee00220], 1; jz
    ];

    /// <summary>mov edx, 0x505; mov al, 1; out dx, al; hlt.</summary>
    public static ReadOnlySpan<byte> Panic => [0xba, 0x05, 0x05, 0, 0, 0xb0, 1, 0xee, 0xf4, 0xeb, 0xfd];

    /// <summary>Prints an a, counts in memory how often it did so, and resets the machine until it is <paramref name="starts"/> times; then it switches off.</summary>
    public static byte[] ResetUntil(byte starts) =>
    [
        // mov edx, 0x3f8; mov al, 'a'; out dx, al; inc word [0x8200]; cmp word [0x8200], starts; jae
        0xba, 0xf8, 0x03, 0, 0, 0xb0, (byte)'a', 0xee, 0x66, 0xff, 0x04, 0x25, 0, 0x82, 0, 0, 0x66, 0x81, 0x3c, 0x25, 0, 0x82, 0, 0, starts, 0, 0x73, (byte)Reset.Length,
        .. Reset, .. PowerOff,
    ];

    /// <summary>Starts all other vCPUs by INIT and start-up IPI, has each of them print its APIC id as one byte from real mode, waits for all, and goes on.</summary>
    public static byte[] StartOthers(int others, ReadOnlySpan<byte> then) =>
    [
        // mov word [0x8100], 0
        0x66, 0xc7, 0x04, 0x25, 0, 0x81, 0, 0, 0, 0,
        // lea rsi, [rip+...]; mov edi, 0x8000; mov ecx, 25; rep movsb: the code below to where the start-up vector 8 points.
        0x48, 0x8d, 0x35, (byte)(43 + then.Length), 0, 0, 0, 0xbf, 0, 0x80, 0, 0, 0xb9, 25, 0, 0, 0, 0xf3, 0xa4,
        // mov ebx, 0xfee00300; mov dword [rbx], INIT to all others; mov dword [rbx], start-up 8 to all others.
        0xbb, 0, 0x03, 0xe0, 0xfe, 0xc7, 0x03, 0, 0x45, 0x0c, 0, 0xc7, 0x03, 0x08, 0x46, 0x0c, 0,
        // pause; cmp word [0x8100], others; jne
        0xf3, 0x90, 0x66, 0x81, 0x3c, 0x25, 0, 0x81, 0, 0, (byte)others, 0, 0x75, 0xf2,
        .. then,
        // Real mode: mov eax, 1; cpuid; shr ebx, 24; mov al, bl; mov dx, 0x3f8; out dx, al; lock inc word [0x8100]; hlt.
        0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0x66, 0xc1, 0xeb, 24, 0x88, 0xd8, 0xba, 0xf8, 0x03, 0xee, 0xf0, 0xff, 0x06, 0, 0x81, 0xf4, 0xf4,
    ];

    public static byte[] Image(ReadOnlySpan<byte> code)
    {
        // The header gives the payload's size in paragraphs of 16 bytes.
        var paragraphs = (0x200 + code.Length + 15) / 16;
        var image = new byte[PayloadOffset + (16 * paragraphs)];
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(0x1f4), paragraphs);
        image[0x1f1] = (PayloadOffset / 512) - 1;
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x1fe), 0xaa55);
        image[0x201] = 0x66;
        "HdrS"u8.CopyTo(image.AsSpan(0x202));
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(0x206), 0x20f);
        image[0x211] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x22c), 0x7fffffff);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x230), 0x200000);
        image[0x234] = 1;
        image[0x236] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x238), 2047);
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(0x258), LoadAddress);
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(0x260), InitBytes);
        code.CopyTo(image.AsSpan(PayloadOffset + 0x200));
        return image;
    }

    public static SafeFileHandle File(ReadOnlySpan<byte> bytes)
    {
        var file = MemoryFile.Create("test", bytes.Length);
        Assert.Equal(bytes.Length, Files.TryWriteAt(file, bytes, 0, out _));
        return file;
    }

    public static VmConfig Config(string commandLine = "hello", long memoryBytes = 64 << 20) => new()
    {
        VmId = Guid.CreateVersion7(TimeProvider.System.GetUtcNow()),
        Name = "tiny",
        Vcpus = 1,
        MemoryBytes = memoryBytes,
        CommandLine = commandLine,
        ConsoleLogPath = "",
        HasInitrd = false,
        Devices = [],
    };

    /// <summary>/dev/kvm, or the test is skipped in words.</summary>
    public static SafeFileHandle OpenKvm()
    {
        SafeFileHandle? kvm = null;
        var reason = "";
        try
        {
            kvm = Files.Open("/dev/kvm", OpenMode.ReadWrite);
        }
        catch (LinuxException e)
        {
            reason = e.Message;
        }
        Assert.SkipWhen(kvm is null, $"No usable /dev/kvm here: {reason}");
        return kvm!;
    }
}
