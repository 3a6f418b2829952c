using System.Globalization;

namespace Exitless.Agent.ExitReasons;

/// <summary>The MSRs that are told one by one: those of the local APIC in x2APIC mode (Intel SDM, volume 3, table 12-6), and few others that a guest accesses again and again.</summary>
internal static class MsrNames
{
    private const long FirstX2Apic = 0x800, LastX2Apic = 0x8ff;

    private static readonly Dictionary<long, string> Names = new()
    {
        [0x48] = "spec_ctrl",
        [0x49] = "pred_cmd",
        [0x6e0] = "tsc_deadline",
        [0x808] = "x2apic_tpr",
        [0x80b] = "x2apic_eoi",
        [0x830] = "x2apic_icr",
        [0x838] = "x2apic_timer",
        [0x83f] = "x2apic_self_ipi",
        [0x4b56_4d04] = "kvm_pv_eoi",
        [0x4000_0070] = "hyperv_eoi",
        [0x4000_0071] = "hyperv_icr",
    };

    /// <summary>Keeps all others out of the histogram: which they are is the guest's choice, and it must not be able to fill it.</summary>
    public static readonly string Filter =
        string.Join(" || ", Names.Keys.Where(msr => msr is < FirstX2Apic or > LastX2Apic).Select(msr => string.Create(CultureInfo.InvariantCulture, $"ecx == 0x{msr:x}"))
            .Append(string.Create(CultureInfo.InvariantCulture, $"(ecx >= 0x{FirstX2Apic:x} && ecx <= 0x{LastX2Apic:x})")));

    /// <summary>The name of an MSR that <see cref="Filter"/> lets through.</summary>
    public static string Of(long msr) => Names.GetValueOrDefault(msr) ?? "x2apic_other";
}
