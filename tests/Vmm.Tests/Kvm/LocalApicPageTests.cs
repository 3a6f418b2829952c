using System.Buffers.Binary;
using Exitless.Vmm.Kvm;

namespace Exitless.Vmm.Tests.Kvm;

public sealed class LocalApicPageTests
{
    private const int InService = 0x100, Requested = 0x200, TimerEntry = 0x320, InitialCount = 0x380, CurrentCount = 0x390;
    private const uint Masked = 1 << 16, Periodic = 1 << 17, Deadline = 2 << 17;
    private readonly byte[] _page = new byte[LocalApicPage.Bytes];

    [Fact]
    public void The_highest_vectors_are_found_in_eight_words_sixteen_bytes_apart()
    {
        Assert.Equal((null, null), (new LocalApicPage(_page).HighestRequested, new LocalApicPage(_page).HighestInService));
        Set(Requested + 0x20, 1u << 1);     // 0x41
        Set(Requested + 0x10, 1u << 31);    // 0x3f
        Set(InService + 0x70, 1u << 31);    // 0xff
        Assert.Equal((0x41, 0xff), (new LocalApicPage(_page).HighestRequested, new LocalApicPage(_page).HighestInService));
    }

    [Theory]
    [InlineData(0, 0, 0, 0, false)]
    [InlineData(0, 9, 5, 0, true)]
    [InlineData(0, 9, 0, 0, false)]
    [InlineData(Periodic, 9, 0, 0, true)]
    [InlineData(Periodic, 0, 0, 0, false)]
    [InlineData(Deadline, 0, 0, 7, true)]
    [InlineData(Deadline, 9, 9, 0, false)]
    [InlineData(Masked | Deadline, 0, 0, 7, false)]
    [InlineData(Masked, 9, 5, 0, false)]
    public void A_timer_is_armed_by_what_its_mode_counts(uint entry, uint initial, uint current, ulong deadline, bool armed)
    {
        Set(TimerEntry, entry);
        Set(InitialCount, initial);
        Set(CurrentCount, current);
        Assert.Equal(armed, new LocalApicPage(_page).TimerArmed(deadline));
    }

    private void Set(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_page.AsSpan(offset), value);
}
