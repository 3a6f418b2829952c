using CsCheck;
using Exitless.Vmm.Acpi;

namespace Exitless.Vmm.Tests.Acpi;

public sealed class AmlTests
{
    [Theory]
    [InlineData(0, "01")]
    [InlineData(62, "3F")]
    [InlineData(63, "4104")]
    [InlineData(4093, "4FFF")]
    [InlineData(4094, "810001")]
    [InlineData(1048572, "8FFFFF")]
    [InlineData(1048573, "C1000001")]
    public void Lengths_change_their_own_size_at_the_right_place(int content, string expected) =>
        Assert.Equal(expected, Convert.ToHexString(Aml.PackageLength(content)));

    [Fact]
    public void A_length_reads_back_as_itself_and_its_content() => Gen.Int[0, (1 << 28) - 5].Sample(content =>
    {
        var bytes = Aml.PackageLength(content);
        var more = bytes[0] >> 6;
        var length = more == 0 ? bytes[0] : bytes[0] & 0xF;
        for (var i = 1; i <= more; i++)
            length |= bytes[i] << (4 + (8 * (i - 1)));
        return bytes.Length == more + 1 && length == content + bytes.Length;
    });

    [Theory]
    [InlineData(0UL, "00")]
    [InlineData(1UL, "01")]
    [InlineData(2UL, "0A02")]
    [InlineData(255UL, "0AFF")]
    [InlineData(256UL, "0B0001")]
    [InlineData(0x12345UL, "0C45230100")]
    [InlineData(0x1_0000_0000UL, "0E0000000001000000")]
    public void Integers_take_the_shortest_form(ulong value, string expected) => Assert.Equal(expected, Convert.ToHexString(Aml.Integer(value)));

    [Theory]
    [InlineData("PNP0A08", "0C41D00A08")]
    [InlineData("PNP0501", "0C41D00501")]
    public void Plug_and_play_identifiers_are_compressed(string id, string expected) => Assert.Equal(expected, Convert.ToHexString(Aml.EisaId(id)));

    [Theory]
    [InlineData("GED", "4745445F")]
    [InlineData("\\_S5", "5C5F53355F")]
    [InlineData("\\_SB.PWRB", "5C2E5F53425F50575242")]
    [InlineData("A.B.C", "2F03415F5F5F425F5F5F435F5F5F")]
    public void Paths_carry_a_prefix_for_their_length(string path, string expected) => Assert.Equal("08" + expected, Convert.ToHexString(Aml.Name(path, [])));

    [Fact]
    public void A_resource_template_ends_with_a_tag_whose_sum_is_not_checked() =>
        Assert.Equal("11160A134701F803F8030108890600030104000000" + "7900", Convert.ToHexString(Aml.Resources(AcpiResource.Ports(0x3F8, 8), AcpiResource.EdgeInterrupt(4))));

    [Fact]
    public void Windows_name_their_first_and_last_address_and_their_length()
    {
        Assert.Equal("871700000C0100000000" + "000000C0" + "FFFFFFDF" + "00000000" + "00000020", Convert.ToHexString(AcpiResource.Memory32(0xC000_0000, 0xE000_0000)));
        Assert.Equal("8A2B00000C010000000000000000" + "0000000001000000" + "FFFFFFFF01000000" + "0000000000000000" + "0000000001000000",
            Convert.ToHexString(AcpiResource.Memory64(0x1_0000_0000, 0x2_0000_0000)));
        Assert.Equal("880D00020C00" + "0000" + "0000" + "0000" + "0000" + "0100", Convert.ToHexString(AcpiResource.BusNumbers(0, 0)));
    }
}
