using Exitless.Linux.Kvm;
using Exitless.Vmm.Kvm;

namespace Exitless.Vmm.Tests.Kvm;

public sealed class GuestCpuidTests
{
    [Fact]
    public void A_vcpu_finds_its_own_apic_id_its_siblings_and_the_hypervisor_bit()
    {
        KvmCpuidEntry[] supported =
        [
            new() { Function = 1, Ebx = 0xff0008ff, Edx = uint.MaxValue }, new() { Function = 4, Eax = 0xfc01c121 }, new() { Function = 0xb, Index = 0, Flags = KvmCpuidEntry.IndexMatters },
            new() { Function = 0xb, Index = 1, Flags = KvmCpuidEntry.IndexMatters }, new() { Function = 0x80000008, Eax = 0x3028, Ecx = 0xf0ff }, new() { Function = 0x8000001e },
        ];
        var three = GuestCpuid.For(supported, apicId: 2, vcpus: 3, tscDeadline: true);
        Assert.Equal(0x020308ffu, three[0].Ebx);
        Assert.Equal(0x81000000u, three[0].Ecx);
        Assert.Equal(2u, three[1].Eax >> 26);
        Assert.Equal((1u, 2u), (three[2].Ebx, three[2].Edx));
        Assert.Equal((2u, 3u, 0x201u), (three[3].Eax, three[3].Ebx, three[3].Ecx));
        Assert.Equal(0x2002u, three[4].Ecx);
        Assert.Equal(2u, three[5].Eax);
        Assert.Equal(0u, GuestCpuid.For(supported, 0, 1, tscDeadline: false)[0].Edx & (1u << 28));
        Assert.Equal(40, GuestCpuid.PhysicalAddressBits(supported));
        Assert.Equal(36, GuestCpuid.PhysicalAddressBits([]));
    }
}
