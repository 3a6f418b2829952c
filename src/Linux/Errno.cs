namespace Exitless.Linux;

/// <summary>Error numbers of Linux on x86-64 (asm-generic/errno-base.h) that callers tell apart.</summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int NotPermitted = 1;
    /// <summary>No such file or directory.</summary>
    public const int NoEntry = 2;
    /// <summary>No such process.</summary>
    public const int NoProcess = 3;
    /// <summary>A signal came before anything was done.</summary>
    public const int Interrupted = 4;
    /// <summary>Input or output error; KVM's answer to a process that did not create the VM.</summary>
    public const int InputOutput = 5;
    /// <summary>No such device or address: what is opened is a socket, say.</summary>
    public const int NoSuchAddress = 6;
    /// <summary>No child process to wait for.</summary>
    public const int NoChild = 10;
    /// <summary>Nothing to read or no room to write now.</summary>
    public const int Again = 11;
    /// <summary>Out of memory, or over the limit of locked memory.</summary>
    public const int NoMemory = 12;
    /// <summary>Permission denied.</summary>
    public const int Access = 13;
    /// <summary>Bad address.</summary>
    public const int Fault = 14;
    /// <summary>Device or resource busy.</summary>
    public const int Busy = 16;
    /// <summary>Exists already.</summary>
    public const int Exists = 17;
    /// <summary>No such device.</summary>
    public const int NoDevice = 19;
    /// <summary>Invalid argument.</summary>
    public const int Invalid = 22;
    /// <summary>Not a device of that kind: the request is unknown to it.</summary>
    public const int NotTerminal = 25;
    /// <summary>No space left.</summary>
    public const int NoSpace = 28;
    /// <summary>The other end is closed.</summary>
    public const int Pipe = 32;
    /// <summary>The room given is too small for the answer.</summary>
    public const int MessageSize = 90;
    /// <summary>The address is taken; iommufd's word for a device that reserves addresses at which memory is mapped.</summary>
    public const int AddressInUse = 98;
    /// <summary>The other end was reset.</summary>
    public const int ConnectionReset = 104;
    /// <summary>Nobody listens.</summary>
    public const int ConnectionRefused = 111;
}
