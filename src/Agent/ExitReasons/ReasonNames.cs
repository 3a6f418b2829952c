using System.Globalization;

namespace Exitless.Agent.ExitReasons;

/// <summary>
/// Names of the reasons for which a processor leaves a guest, as <c>kvm:kvm_exit</c> gives them: a field <c>isa</c> (1: VMX, 2: SVM; arch/x86/include/asm/kvm_host.h) and a number
/// (arch/x86/include/uapi/asm/vmx.h, svm.h). What both processors have bears one name.
/// </summary>
internal static class ReasonNames
{
    /// <summary>Values of <c>isa</c>.</summary>
    public const int Vmx = 1, Svm = 2;

    /// <summary>MSR accesses: of VMX one name each for reading and writing, of SVM one for both.</summary>
    public const string Msr = "msr", MsrRead = "msr_read", MsrWrite = "msr_write";

    private static readonly Dictionary<long, string> VmxNames = new()
    {
        [0] = "exception_nmi",
        [1] = "external_interrupt",
        [2] = "triple_fault",
        [3] = "init",
        [4] = "sipi",
        [6] = "smi",
        [7] = "interrupt_window",
        [8] = "nmi_window",
        [9] = "task_switch",
        [10] = "cpuid",
        [12] = "halt",
        [13] = "invd",
        [14] = "invlpg",
        [15] = "rdpmc",
        [16] = "rdtsc",
        [18] = "hypercall",
        [19] = "nested_vmx",
        [20] = "nested_vmx",
        [21] = "nested_vmx",
        [22] = "nested_vmx",
        [23] = "nested_vmx",
        [24] = "nested_vmx",
        [25] = "nested_vmx",
        [26] = "nested_vmx",
        [27] = "nested_vmx",
        [28] = "cr_access",
        [29] = "dr_access",
        [30] = "io",
        [31] = MsrRead,
        [32] = MsrWrite,
        [33] = "invalid_state",
        [34] = "msr_load_fail",
        [36] = "mwait",
        [37] = "monitor_trap",
        [39] = "monitor",
        [40] = "pause",
        [41] = "machine_check",
        [43] = "tpr_below_threshold",
        [44] = "apic_access",
        [45] = "eoi_induced",
        [46] = "descriptor_table",
        [47] = "descriptor_table",
        [48] = "nested_page_fault",
        [49] = "ept_misconfig",
        [50] = "nested_vmx",
        [51] = "rdtscp",
        [52] = "preemption_timer",
        [53] = "nested_vmx",
        [54] = "wbinvd",
        [55] = "xsetbv",
        [56] = "apic_write",
        [57] = "rdrand",
        [58] = "invpcid",
        [59] = "vmfunc",
        [60] = "encls",
        [61] = "rdseed",
        [62] = "pml_full",
        [63] = "xsaves",
        [64] = "xrstors",
        [67] = "umwait",
        [68] = "tpause",
        [74] = "bus_lock",
        [75] = "notify_window",
    };

    private static readonly Dictionary<long, string> SvmNames = new()
    {
        [0x60] = "external_interrupt",
        [0x61] = "nmi",
        [0x62] = "smi",
        [0x63] = "init",
        [0x64] = "interrupt_window",
        [0x65] = "cr_access",
        [0x6e] = "rdtsc",
        [0x6f] = "rdpmc",
        [0x70] = "pushf",
        [0x71] = "popf",
        [0x72] = "cpuid",
        [0x73] = "rsm",
        [0x74] = "nmi_window",
        [0x75] = "software_interrupt",
        [0x76] = "invd",
        [0x77] = "pause",
        [0x78] = "halt",
        [0x79] = "invlpg",
        [0x7a] = "nested_svm",
        [0x7b] = "io",
        [0x7c] = Msr,
        [0x7d] = "task_switch",
        [0x7e] = "ferr_freeze",
        [0x7f] = "triple_fault",
        [0x80] = "nested_svm",
        [0x81] = "hypercall",
        [0x82] = "nested_svm",
        [0x83] = "nested_svm",
        [0x84] = "nested_svm",
        [0x85] = "nested_svm",
        [0x86] = "nested_svm",
        [0x87] = "rdtscp",
        [0x88] = "icebp",
        [0x89] = "wbinvd",
        [0x8a] = "monitor",
        [0x8b] = "mwait",
        [0x8c] = "mwait",
        [0x8d] = "xsetbv",
        [0x8e] = "rdpru",
        [0x8f] = "efer_write",
        [0xa2] = "invpcid",
        [0xa5] = "bus_lock",
        [0x400] = "nested_page_fault",
        [0x401] = "avic_incomplete_ipi",
        [0x402] = "avic_unaccelerated_access",
        [0x403] = "vmgexit",
    };

    /// <summary>The name of a reason; one that this version does not know is told by its number.</summary>
    public static string Of(long isa, long reason) => isa switch
    {
        // The upper half has flags: a failed entry, an enclave, a bus lock.
        Vmx => VmxNames.GetValueOrDefault(reason & 0xffff) ?? Numbered("vmx", reason & 0xffff),
        Svm => SvmNames.GetValueOrDefault(reason) ?? SvmRange(reason),
        _ => Numbered(string.Create(CultureInfo.InvariantCulture, $"isa_{isa}"), reason),
    };

    private static string SvmRange(long reason) => reason switch
    {
        < 0x20 => "cr_access",
        < 0x40 => "dr_access",
        < 0x60 => "exception",
        >= 0x66 and <= 0x6d => "descriptor_table",
        >= 0x90 and <= 0x9f => "cr_access",
        0xffff_ffff => "invalid_state",
        _ => Numbered("svm", reason),
    };

    private static string Numbered(string prefix, long reason) => string.Create(CultureInfo.InvariantCulture, $"{prefix}_0x{reason:x}");
}
