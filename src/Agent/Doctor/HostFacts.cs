using System.Globalization;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Doctor;

/// <summary>The first processor, from /proc/cpuinfo. All of a host are taken to be alike.</summary>
/// <param name="VmxFlags">What VT-x can ("vmx flags", since 5.9); null: the kernel does not say, or it is no Intel.</param>
internal sealed record Processor(string Vendor, int Family, string Model, IReadOnlySet<string> Flags, IReadOnlySet<string>? VmxFlags)
{
    public bool IsIntel => Vendor == "GenuineIntel";

    /// <summary>A host that is itself a VM.</summary>
    public bool IsGuest => Flags.Contains("hypervisor");

    public static Processor Read(HostFiles files)
    {
        string[] keys = ["vendor_id", "cpu family", "model", "model name", "stepping", "flags", "vmx flags"];
        var text = files.Text("/proc/cpuinfo", all => string.Join('\n', First(all).Where(l => keys.Contains(Key(l), StringComparer.Ordinal)))) ?? "";
        string? Value(string key) => text.Split('\n').FirstOrDefault(l => Key(l) == key) is { } line ? line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim() : null;
        HashSet<string> Set(string? value) => new((value ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries), StringComparer.Ordinal);
        return new Processor(
            Value("vendor_id") ?? "", int.TryParse(Value("cpu family"), NumberStyles.None, CultureInfo.InvariantCulture, out var family) ? family : 0, Value("model name") ?? "",
            Set(Value("flags")), Value("vmx flags") is { } vmx ? Set(vmx) : null);
    }

    private static IEnumerable<string> First(string all) => all.Split('\n').TakeWhile(l => l.Length > 0);

    private static string Key(string line)
    {
        var colon = line.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? "" : line[..colon].TrimEnd();
    }
}

/// <summary>What several checks need, read once.</summary>
internal sealed class HostFacts(HostFiles files)
{
    public HostFiles Files { get; } = files;

    public KernelRelease Kernel { get; } = KernelRelease.Parse(files.Text("/proc/sys/kernel/osrelease") ?? "");

    public BootParameters Boot { get; } = new(files);

    public KernelLog Log { get; } = new(files);

    public Processor Processor { get; } = Processor.Read(files);

    public IReadOnlyList<IommuUnit> Units { get; } = IommuUnits.Read(files);

    public IReadOnlyList<HostFunction> Functions { get; } = HostFunctions.Read(files);

    public IReadOnlyList<uint> OnlineCpus { get; } = CpuList.Parse(files.Text("/sys/devices/system/cpu/online"));

    public Interrupts Interrupts { get; } = new(files);

    /// <summary>The IOMMU translates for some function.</summary>
    public bool HasIommu => Functions.Any(f => f.Group is not null);

    /// <summary>KVM's module for this processor.</summary>
    public string KvmModule => Processor.Flags.Contains("svm") ? "kvm_amd" : "kvm_intel";

    /// <summary>A parameter of KVM's module.</summary>
    public string KvmParameter(string name) => $"/sys/module/{KvmModule}/parameters/{name}";

    /// <summary>APICv or AVIC is on; null: KVM's module is not loaded.</summary>
    public bool? HasVirtualApic => Files.Flag(KvmParameter(KvmModule == "kvm_amd" ? "avic" : "enable_apicv"));

    /// <summary>KVM has direct interrupts (ELI) and offers them; null: it is not the KVM that src/Eli makes, or not loaded.</summary>
    public bool? HasDirectInterrupts => Files.Flag(KvmParameter("eli"));

    /// <summary>How to give KVM's module a parameter: by reloading it, or at boot where it is built into the kernel.</summary>
    public Remedy SetKvmParameter(string setting) => Files.Exists($"/sys/module/{KvmModule}/initstate") || !Files.Exists($"/sys/module/{KvmModule}")
        ? Remedy.Now($"echo 'options {KvmModule} {setting}' > /etc/modprobe.d/exitless-{KvmModule}.conf && modprobe -r {KvmModule} && modprobe {KvmModule}   # while no VM runs")
        : Boot.Add($"{KvmModule}.{setting}");
}
