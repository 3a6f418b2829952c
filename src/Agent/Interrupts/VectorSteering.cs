using System.Globalization;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Interrupts;

/// <summary>
/// Which of the host's CPUs takes an interrupt that is not posted, where the APIC is virtualized. One on the vCPU's own CPU makes it exit, one on another is passed on without (KVM notifies the
/// running vCPU by an interrupt that the processor serves in the guest; arch/x86/kvm/lapic.c, arch/x86/kvm/vmx/posted_intr.c).
/// </summary>
internal static class VectorSteering
{
    /// <summary>Where an interrupt shall go, or why it cannot.</summary>
    /// <param name="Irq">The host's interrupt.</param>
    /// <param name="Cpus">The CPUs that may take it.</param>
    /// <param name="Refusal">Why it stays where it is; null: it need not.</param>
    internal sealed record Move(uint Irq, IReadOnlyList<uint> Cpus, string? Refusal);

    /// <summary>Decides for each vector by the last switch that names it. Reads only.</summary>
    /// <param name="root">The host.</param>
    /// <param name="places">Where the VM's vectors and vCPUs are now.</param>
    /// <param name="switches">In force, the later ones over the earlier.</param>
    public static IReadOnlyList<Move> Plan(HostRoot root, Contracts.Locality places, IReadOnlyList<InterruptSwitch> switches)
    {
        var online = CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/online")));
        var isolated = CpuList.Parse(SysfsFile.Text(root.Sys("devices/system/cpu/isolated")));
        IReadOnlyList<uint> housekeeping = online.Except(isolated).ToArray() is { Length: > 0 } some ? some : online;
        return [.. places.Vectors.Where(v => v.HasIrq).Select(v => Decide(v, places, Position(v, switches), online, housekeeping))];
    }

    /// <summary>Moves them.</summary>
    /// <returns>What could not be moved, in words.</returns>
    public static IReadOnlyList<string> Apply(HostRoot root, IReadOnlyList<Move> moves)
    {
        var refused = new List<string>();
        foreach (var move in moves)
        {
            if (move.Refusal is { } why)
            {
                refused.Add(why);
                continue;
            }
            var path = root.Proc(string.Create(CultureInfo.InvariantCulture, $"irq/{move.Irq}/smp_affinity_list"));
            if (CpuList.Parse(SysfsFile.Text(path)).SequenceEqual(move.Cpus))
                continue;
            try
            {
                SysfsFile.Write(path, string.Join(',', move.Cpus.Select(c => c.ToString(CultureInfo.InvariantCulture))));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                refused.Add($"The host's interrupt {move.Irq} cannot be moved to CPU {string.Join(", ", move.Cpus)}: {e.Message}");
            }
        }
        return refused;
    }

    private static InterruptSwitch? Position(VectorPlace vector, IReadOnlyList<InterruptSwitch> switches) =>
        switches.LastOrDefault(s => s.Address == vector.Address && s.HasVector && s.Vector == vector.Vector)
        ?? switches.LastOrDefault(s => s.Address == vector.Address && !s.HasVector) ?? switches.LastOrDefault(s => s.Address.Length == 0);

    private static Move Decide(VectorPlace vector, Contracts.Locality places, InterruptSwitch? position, IReadOnlyList<uint> online, IReadOnlyList<uint> housekeeping)
    {
        var irq = vector.Irq;
        var own = vector.HasVcpu ? places.Vcpus.FirstOrDefault(v => v.Index == vector.Vcpu)?.Cpus.ToArray() ?? [] : [];
        if (position is not { Injected: true })
            return new Move(irq, housekeeping, null);
        if (!position.Assisted)
            return new Move(irq, own.Length > 0 ? own : housekeeping, null);
        var others = housekeeping.Except(own).ToArray();
        if (others.Length == 0)
            others = [.. online.Except(own)];
        var what = string.Create(CultureInfo.InvariantCulture, $"Vector {vector.Vector} of {vector.Address}");
        if (own.Length == 0)
            return new Move(irq, [], $"{what} goes to no vCPU in particular, so no CPU of the host is known to be another's: give it to one CPU in the guest.");
        return others.Length > 0 ? new Move(irq, others, null)
            : new Move(irq, [], $"{what} cannot take the path 'assisted': vCPU {vector.Vcpu} may run on every CPU of the host. Isolate CPUs (doctor: isolated-cpus), so that it has one to itself.");
    }
}
