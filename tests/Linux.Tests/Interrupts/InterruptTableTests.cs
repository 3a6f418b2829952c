using System.Text;
using Exitless.Linux.Interrupts;

namespace Exitless.Linux.Tests.Interrupts;

public sealed class InterruptTableTests
{
    [Fact]
    public void Vectors_are_summed_over_CPUs_and_everything_else_is_left_out()
    {
        const string Text =
            """
                       CPU0       CPU1
              0:         36          0  IR-IO-APIC   2-edge      timer
             45:          7       1200  IR-PCI-MSIX-0000:01:10.0    0-edge      vfio-msix[0](0000:01:10.0)
             46:          0          3  IR-PCI-MSIX-0000:01:10.0   12-edge      vfio-msix[12](0000:01:10.0)
             47:          1          1  IR-PCI-MSI-0000:02:00.0    0-edge      vfio-msi[0](0000:02:00.0)
             48: 4294967296 4294967296  IR-PCI-MSIX-00ff:fe:1f.7    0-edge      vfio-msix[2](00ff:fe:1f.7)
            NMI:          9          9   Non-maskable interrupts
            """;
        Assert.Equal(
            [
                new VfioVectorCount(VfioVectorName.PackAddress("0000:01:10.0"), 0, 1207),
                new VfioVectorCount(VfioVectorName.PackAddress("0000:01:10.0"), 12, 3),
                new VfioVectorCount(0x00ff_fe_ff, 2, 8589934592),
            ],
            Parse(Text));
    }

    [Theory]
    [InlineData("45: 1 x vfio-msix[0](0000:01:10.0")]
    [InlineData("45: 1 x vfio-msix[](0000:01:10.0)")]
    [InlineData("45: 1 x vfio-msix[0](0000:01:zz.0)")]
    [InlineData("45: 1 x vfio-msix[1234567](0000:01:10.0)")]
    [InlineData("vfio-msix[")]
    public void A_line_that_is_cut_or_odd_is_left_out(string line) => Assert.True(Parse(line).Count <= 1 && Parse(line).All(v => v.Count == 1));

    [Fact]
    public void This_machines_file_can_be_read_again_and_again_without_allocating()
    {
        using var interrupts = new InterruptTable(HostRoot.Machine, new ReadMeter());
        interrupts.Read();
        interrupts.Read();
        var before = GC.GetAllocatedBytesForCurrentThread();
        interrupts.Read();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_text_that_is_no_address_is_refused() => Assert.Throws<ArgumentException>(() => VfioVectorName.PackAddress("01:10.0"));

    private static List<VfioVectorCount> Parse(string text)
    {
        var counts = new List<VfioVectorCount>();
        InterruptTable.Parse(Encoding.ASCII.GetBytes(text), counts);
        return counts;
    }
}
