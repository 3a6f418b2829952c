namespace Exitless.Linux.Kvm;

/// <summary>ioctl requests of KVM (linux/kvm.h, x86-64).</summary>
internal static class KvmRequests
{
    public const uint GetApiVersion = 0xae00;
    public const uint CreateVm = 0xae01;
    public const uint CheckExtension = 0xae03;
    public const uint GetVcpuMmapSize = 0xae04;
    public const uint GetSupportedCpuid = 0xc008ae05;
    public const uint GetMsrIndexList = 0xc004ae02;

    public const uint CreateVcpu = 0xae41;
    public const uint SetUserMemoryRegion = 0x4020ae46;
    public const uint SetTssAddress = 0xae47;
    public const uint SetIdentityMapAddress = 0x4008ae48;
    public const uint CreateIrqchip = 0xae60;
    public const uint GetIrqchip = 0xc208ae62;
    public const uint SetIrqchip = 0x8208ae63;
    public const uint SetGsiRouting = 0x4008ae6a;
    public const uint Irqfd = 0x4020ae76;
    public const uint IoEventFd = 0x4040ae79;
    public const uint CreateDevice = 0xc00caee0;
    public const uint SetDeviceAttribute = 0x4018aee1;
    public const uint EnableCapability = 0x4068aea3;
    public const uint GetStatisticsFd = 0xaece;

    public const uint Run = 0xae80;
    public const uint GetRegisters = 0x8090ae81;
    public const uint SetRegisters = 0x4090ae82;
    public const uint GetSpecialRegisters = 0x8138ae83;
    public const uint SetSpecialRegisters = 0x4138ae84;
    public const uint GetMsrs = 0xc008ae88;
    public const uint SetMsrs = 0x4008ae89;
    public const uint SetSignalMask = 0x4004ae8b;
    public const uint GetLapic = 0x8400ae8e;
    public const uint SetLapic = 0x4400ae8f;
    public const uint SetCpuid2 = 0x4008ae90;
    public const uint GetMpState = 0x8004ae98;
    public const uint SetMpState = 0x4004ae99;
    public const uint GetVcpuEvents = 0x8040ae9f;
    public const uint SetVcpuEvents = 0x4040aea0;
    public const uint GetDebugRegisters = 0x8080aea1;
    public const uint SetDebugRegisters = 0x4080aea2;
    public const uint GetXsave = 0x9000aea4;
    public const uint SetXsave = 0x5000aea5;
    public const uint GetXcrs = 0x8188aea6;
    public const uint SetXcrs = 0x4188aea7;
    public const uint KvmclockPaused = 0xaead;
    public const uint GetNestedState = 0xc080aebe;
    public const uint SetNestedState = 0x4080aebf;
    public const uint GetXsave2 = 0x9000aecf;
}

/// <summary>Capabilities that KVM_CHECK_EXTENSION is asked for.</summary>
internal static class KvmCapabilities
{
    public const int RecommendedVcpus = 9;
    public const int IrqRouting = 25;
    public const int Irqfd = 32;
    public const int MaxVcpus = 66;
    public const int TscDeadlineTimer = 72;
    public const int SplitIrqchip = 121;
    public const int MaxVcpuId = 128;
    public const int X2ApicApi = 129;
    public const int ImmediateExit = 136;
    public const int DisableExits = 143;
    public const int NestedState = 157;
    public const int BinaryStatistics = 203;
    public const int Xsave2 = 208;

    /// <summary>ELI's, not mainline's (src/Eli/kernel/eli.h): the number of its interface, 0 or an error without it.</summary>
    public const int DirectInterrupts = 0x454c4900;
}

/// <summary>Why KVM_RUN came back.</summary>
internal enum KvmExit : uint
{
    Unknown = 0,
    Io = 2,
    Halt = 5,
    Mmio = 6,
    Shutdown = 8,
    FailEntry = 9,
    Interrupted = 10,
    InternalError = 17,
    SystemEvent = 24,
}
