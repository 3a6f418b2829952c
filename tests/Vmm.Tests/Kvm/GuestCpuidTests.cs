using Exitless.Linux.Kvm;
using Exitless.Vmm.Kvm;

namespace Exitless.Vmm.Tests.Kvm;

public sealed class GuestCpuidTests
{
    private static readonly KvmCpuidEntry[] Supported =
    [
        new() { Function = 0, Eax = 0x1f }, new() { Function = 1, Ebx = 0xff0008ff, Edx = uint.MaxValue },
        new() { Function = 4, Index = 0, Eax = 0xfc01c121 }, new() { Function = 4, Index = 3, Eax = 0xfc01c163 }, new() { Function = 4, Index = 4 },
        new() { Function = 0xb, Flags = KvmCpuidEntry.IndexMatters }, new() { Function = 0x1f, Flags = KvmCpuidEntry.IndexMatters },
        new() { Function = 0x80000001, Ecx = uint.MaxValue }, new() { Function = 0x80000008, Eax = 0x3028, Ecx = 0xf0ff },
        new() { Function = 0x8000001d, Index = 0, Eax = 0x0001c121 }, new() { Function = 0x8000001d, Index = 3, Eax = 0x0001c163 },
        new() { Function = 0x8000001e, Ebx = 0xffff, Ecx = 0x7ff }, new() { Function = 0x80000026, Eax = 7 },
    ];

    [Fact]
    public void Cores_of_one_socket_have_the_third_cache_level_in_common()
    {
        var topology = CpuTopology.OneSocket(3);
        var cpuid = GuestCpuid.For(Supported, topology, vcpu: 2, tscDeadline: true);
        Assert.Equal((0x020408ffu, 0x81000000u, 1u << 28), (Leaf(cpuid, 1).Ebx, Leaf(cpuid, 1).Ecx, Leaf(cpuid, 1).Edx & (1u << 28)));
        // Core ids less one, sharers less one.
        Assert.Equal((3u, 0u), (Leaf(cpuid, 4).Eax >> 26, Leaf(cpuid, 4).Eax >> 14 & 0xfff));
        Assert.Equal((3u, 3u), (Leaf(cpuid, 4, 3).Eax >> 26, Leaf(cpuid, 4, 3).Eax >> 14 & 0xfff));
        Assert.Equal(0u, Leaf(cpuid, 4, 4).Eax);
        Assert.Equal((0u, 1u, 0x100u, 2u), Registers(Leaf(cpuid, 0xb)));
        Assert.Equal((2u, 3u, 0x201u, 2u), Registers(Leaf(cpuid, 0xb, 1)));
        Assert.Equal((0u, 0u, 2u, 2u), Registers(Leaf(cpuid, 0x1f, 2)));
        Assert.Equal(0x2002u, Leaf(cpuid, 0x80000008).Ecx);
        Assert.Equal((0u, 3u), (Leaf(cpuid, 0x8000001d).Eax >> 14, Leaf(cpuid, 0x8000001d, 3).Eax >> 14));
        Assert.Equal((2u, 2u, 0u), (Leaf(cpuid, 0x8000001e).Eax, Leaf(cpuid, 0x8000001e).Ebx, Leaf(cpuid, 0x8000001e).Ecx));
        Assert.DoesNotContain(cpuid, e => e.Function == 0x80000026);
    }

    [Fact]
    public void Sockets_cores_and_threads_are_fields_of_the_apic_id()
    {
        var topology = new CpuTopology(2, 3, 2);
        Assert.Equal([0u, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13], Enumerable.Range(0, topology.Count).Select(topology.ApicId));
        var cpuid = GuestCpuid.For(Supported, topology, vcpu: 11, tscDeadline: false);
        Assert.Equal(0x0d0808ffu, Leaf(cpuid, 1).Ebx);
        Assert.Equal((3u, 1u), (Leaf(cpuid, 4).Eax >> 26, Leaf(cpuid, 4).Eax >> 14 & 0xfff));
        Assert.Equal(7u, Leaf(cpuid, 4, 3).Eax >> 14 & 0xfff);
        Assert.Equal((1u, 2u, 0x100u, 13u), Registers(Leaf(cpuid, 0xb)));
        Assert.Equal((3u, 6u, 0x201u, 13u), Registers(Leaf(cpuid, 0xb, 1)));
        Assert.Equal(0x3005u, Leaf(cpuid, 0x80000008).Ecx);
        // Core 2 of socket 1, two threads.
        Assert.Equal((13u, 0x102u, 1u), (Leaf(cpuid, 0x8000001e).Eax, Leaf(cpuid, 0x8000001e).Ebx, Leaf(cpuid, 0x8000001e).Ecx));
    }

    [Fact]
    public void One_vcpu_has_no_siblings_and_leaves_that_the_cpu_lacks_stay_away()
    {
        KvmCpuidEntry[] old = [new() { Function = 0, Eax = 4 }, new() { Function = 1, Edx = uint.MaxValue }, new() { Function = 0x80000001, Ecx = 3 }];
        var cpuid = GuestCpuid.For(old, CpuTopology.OneSocket(1), 0, tscDeadline: false);
        Assert.Equal(3, cpuid.Length);
        Assert.Equal((0x00010000u, 1u << 31, 0u), (Leaf(cpuid, 1).Ebx, Leaf(cpuid, 1).Ecx, Leaf(cpuid, 1).Edx & (1u << 28)));
        Assert.Equal(1u, Leaf(cpuid, 0x80000001).Ecx);
    }

    [Fact]
    public void Apic_ids_are_distinct_and_their_shifts_tell_cores_and_sockets_apart()
    {
        foreach (var topology in from s in Enumerable.Range(1, 64) from c in Enumerable.Range(1, 64 / s) from t in Enumerable.Range(1, 64 / (s * c)) select new CpuTopology(s, c, t))
        {
            var ids = Enumerable.Range(0, topology.Count).Select(topology.ApicId).ToArray();
            Assert.Equal(topology.Count, ids.Distinct().Count());
            Assert.Equal(topology.HighestApicId, ids.Max());
            Assert.InRange(topology.HighestApicId, 0u, 254u);
            Assert.Equal(topology.Sockets, ids.Select(i => i >> topology.SocketBits).Distinct().Count());
            Assert.Equal(topology.Sockets * topology.Cores, ids.Select(i => i >> topology.ThreadBits).Distinct().Count());
        }
    }

    [Fact]
    public void The_width_of_addresses_comes_from_the_cpu()
    {
        Assert.Equal(40, GuestCpuid.PhysicalAddressBits(Supported));
        Assert.Equal(36, GuestCpuid.PhysicalAddressBits([]));
    }

    private static KvmCpuidEntry Leaf(KvmCpuidEntry[] entries, uint function, uint index = 0) => entries.Single(e => e.Function == function && e.Index == index);

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Registers(KvmCpuidEntry entry) => (entry.Eax, entry.Ebx, entry.Ecx, entry.Edx);
}
