using Exitless.Vmm.Interrupts;

namespace Exitless.Vmm.Tests.Interrupts;

/// <summary>Whom a message addresses (Intel SDM volume 3, sections 11.11.1 and 11.12.10.2).</summary>
public sealed class MessageTargetTests
{
    [Theory]
    [InlineData(0xfee00000, 0u)]                  // physical, id 0
    [InlineData(0xfee05000, 5u)]
    [InlineData(0x00000100_fee02000, 0x102u)]     // a 32-bit id
    [InlineData(0xfee04004, 2u)]                  // flat logical: bit 2
    [InlineData(0xfee0400c, 2u)]                  // with a redirection hint
    [InlineData(0x00010000_fee08004, 0x13u)]      // cluster 1, bit 3
    public void One_target_is_told(ulong address, uint id) => Assert.Equal(id, MessageTarget.Of(address));

    [Theory]
    [InlineData(0xfeeff000)]                      // everybody
    [InlineData(0xfee03004)]                      // bits 0 and 1
    [InlineData(0xfee00004)]                      // nobody
    public void Several_or_none_are_not(ulong address) => Assert.Null(MessageTarget.Of(address));
}
