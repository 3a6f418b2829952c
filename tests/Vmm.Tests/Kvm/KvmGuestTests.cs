using System.Buffers.Binary;
using Exitless.Linux;
using Exitless.Linux.Kvm;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Kvm;

/// <summary>The KVM layer and the vCPU thread with real guests; see <see cref="TinyGuest"/>.</summary>
public sealed class KvmGuestTests
{
    // mov dx, 0x3f8; mov al, 'r'; out dx, al
    private static ReadOnlySpan<byte> Print => [0x66, 0xBA, 0xF8, 0x03, 0xB0, (byte)'r', 0xEE];

    // mov dx, 0x600; mov al, 0x34; out dx, al: SLP_EN and SLP_TYP 5.
    private static ReadOnlySpan<byte> PowerOff => [0x66, 0xBA, 0x00, 0x06, 0xB0, 0x34, 0xEE];

    [Fact]
    public async Task A_guest_writes_and_reads_ports_and_switches_itself_off()
    {
        // in al, 0x3fd (line status); out 0x3ff (scratch); in again; mov [0x2000], al
        using var guest = new TinyGuest(
        [
            .. Print, 0x66, 0xBA, 0xFD, 0x03, 0xEC, 0x66, 0xBA, 0xFF, 0x03, 0xEE, 0x31, 0xC0, 0xEC, 0x88, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, .. PowerOff, 0xEB, 0xFE,
        ]);
        guest.Start();
        Assert.Equal((VmEndReason.PowerOff, "The guest switched itself off."), await guest.LeftAsync());
        Assert.Equal("r", guest.Output());
        Assert.Equal(0x60, guest.Memory.Slice(0x2000, 1)[0]);
    }

    [Fact]
    public async Task A_guest_reads_configuration_space_through_memory()
    {
        // mov eax, [0xe0000000]; mov [0x2000], eax
        using var guest = new TinyGuest([0xA1, 0x00, 0x00, 0x00, 0xE0, 0x00, 0x00, 0x00, 0x00, 0x89, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, .. PowerOff, 0xEB, 0xFE]);
        guest.Start();
        Assert.Equal(VmEndReason.PowerOff, (await guest.LeftAsync()).Reason);
        Assert.Equal(0x0008_1B36U, BinaryPrimitives.ReadUInt32LittleEndian(guest.Memory.Slice(0x2000, 4)));
    }

    [Fact]
    public async Task Hlt_without_interrupt_controllers_ends_the_guest_in_words()
    {
        using var guest = new TinyGuest([.. Print, 0xF4]);
        guest.Start();
        var (reason, text) = await guest.LeftAsync();
        Assert.Equal(VmEndReason.Error, reason);
        Assert.Equal($"vCPU 0 at RIP 0x{TinyGuest.Code + 8:x}: it halted for ever.", text);
    }

    [Fact]
    public async Task A_kick_takes_a_guest_that_never_exits_out_for_good()
    {
        using var guest = new TinyGuest([.. Print, 0xEB, 0xFE]);
        guest.Start();
        await guest.PrintedAsync();
        guest.GuestEnd.Ask(VmEndReason.Killed, "enough");
        guest.Kick();
        Assert.Equal((VmEndReason.Killed, "enough"), await guest.LeftAsync());
        Assert.Equal(TinyGuest.Code + 7, guest.Vcpu.GetRegisters().Rip);
        // Kicking one that has left does nothing.
        guest.Kick();
    }

    [Fact]
    public async Task A_kick_wakes_a_halted_guest()
    {
        using var guest = new TinyGuest([.. Print, 0xF4, 0xEB, 0xFD], interruptControllers: true);
        guest.Start();
        await guest.PrintedAsync();
        guest.GuestEnd.Ask(VmEndReason.Killed, "enough");
        guest.Kick();
        Assert.Equal((VmEndReason.Killed, "enough"), await guest.LeftAsync());
    }

    [Fact]
    public async Task A_triple_fault_is_told_as_such()
    {
        // No interrupt table: ud2.
        using var guest = new TinyGuest([0x0F, 0x0B]);
        guest.Start();
        var (reason, text) = await guest.LeftAsync();
        Assert.Equal(VmEndReason.TripleFault, reason);
        Assert.Contains("vCPU 0", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_jump_to_the_firmwares_entry_in_real_mode_resets()
    {
        using var guest = new TinyGuest([]);
        ResetVector.Code.CopyTo(guest.Memory.Slice(MemoryMap.ResetVector, ResetVector.Code.Length));
        var special = guest.Vcpu.GetSpecialRegisters();
        var segment = new KvmSegment { Limit = 0xffff, Type = 3, Present = 1, S = 1 };
        special.Ds = special.Es = special.Fs = special.Gs = special.Ss = segment;
        special.Cs = segment with { Base = 0xf0000, Selector = 0xf000, Type = 11 };
        (special.Cr0, special.Cr4, special.Efer) = (0x60000010, 0, 0);
        guest.Vcpu.SetSpecialRegisters(special);
        guest.Vcpu.SetRegisters(new KvmRegisters { Rip = 0xfff0, Rflags = 2 });
        guest.Start();
        Assert.Equal(VmEndReason.Reset, (await guest.LeftAsync()).Reason);
    }

    [Fact]
    public async Task Exits_of_a_real_guest_allocate_nothing()
    {
        var probe = new AllocationProbe();
        // mov dx, 0x500; mov ecx, 10000; again: out dx, al; in al, dx; dec ecx; jnz again
        using var guest = new TinyGuest([0x66, 0xBA, 0x00, 0x05, 0xB9, 0x10, 0x27, 0x00, 0x00, 0xEE, 0xEC, 0xFF, 0xC9, 0x75, 0xFA, .. PowerOff, 0xEB, 0xFE], probe: probe);
        guest.Start();
        Assert.Equal(VmEndReason.PowerOff, (await guest.LeftAsync()).Reason);
        Assert.Equal(20_000, probe.Accesses);
        // The runtime itself may make a thing or two once; an exit that allocated would do so 20,000 times.
        Assert.InRange(probe.Allocated, 0, probe.Accesses / 10);
    }

    [Fact]
    public void What_is_no_kvm_is_refused_in_words()
    {
        using var file = Files.Open("/dev/null", OpenMode.ReadWrite);
        var problem = Assert.Throws<VmmProblemException>(() => new KvmSystem(file));
        Assert.Equal("no-kvm", problem.Code);
        Assert.Contains("errno 25", problem.Detail, StringComparison.Ordinal);
    }

    /// <summary>Is called on the vCPU's thread, and so sees what that has allocated since its thousandth exit.</summary>
    private sealed class AllocationProbe : IPortDevice
    {
        private long _before;

        public int Accesses { get; private set; }

        public long Allocated { get; private set; }

        public uint ReadPort(int offset, int size)
        {
            Count();
            return 0;
        }

        public void WritePort(int offset, int size, uint value) => Count();

        private void Count()
        {
            if (++Accesses == 1000)
                _before = GC.GetAllocatedBytesForCurrentThread();
            else if (Accesses > 1000)
                Allocated = GC.GetAllocatedBytesForCurrentThread() - _before;
        }
    }
}
