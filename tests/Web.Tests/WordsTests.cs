using System.Text.Json.Nodes;
using Exitless.ControlPlane.Api;
using Exitless.Web.Components.Parts;

namespace Exitless.Web.Tests;

public sealed class WordsTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(512, "512 B")]
    [InlineData(1L << 30, "1 GiB")]
    [InlineData(1_610_612_736, "1.5 GiB")]
    [InlineData(536_870_912, "512 MiB")]
    public void Bytes_are_in_the_unit_that_fits(long bytes, string words) => Assert.Equal(words, Amounts.Bytes(bytes));

    [Theory]
    [InlineData(0.44, "0.4 s")]
    [InlineData(12.4, "12 s")]
    [InlineData(185, "3 min 5 s")]
    [InlineData(-1, "0 s")]
    public void Durations_are_short(double seconds, string words) => Assert.Equal(words, Amounts.Took(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData(AuditAction.Created, null, """{"name":"web-1","initrd":null,"switches":[],"vcpus":2}""", "name: web-1, vcpus: 2")]
    [InlineData(AuditAction.Changed, """{"desired":"stopped","initrd":null}""", """{"desired":"running","initrd":"a"}""", "desired: stopped → running, initrd: nothing → a")]
    [InlineData(AuditAction.Changed, """{"passwordHash":"not shown"}""", """{"passwordHash":"not shown"}""", "passwordHash: changed")]
    [InlineData(AuditAction.Deleted, """{"name":"web-1","passwordHash":"not shown"}""", null, "name: web-1")]
    public void An_audited_change_says_from_what_to_what(AuditAction action, string? before, string? after, string words)
    {
        var entry = new AuditDto(Guid.Empty, default, "grace", null, action, "vm", "1", "web-1", null, Parsed(before), Parsed(after));
        Assert.Equal(words, AuditWords.Of(entry, ", "));

        static JsonObject? Parsed(string? text) => text is null ? null : JsonNode.Parse(text)!.AsObject();
    }

    [Fact]
    public void An_error_inside_a_list_belongs_to_the_list()
    {
        var errors = new FieldErrors(ProblemException.ForField(ProblemKind.Invalid, "x", "Title.", "devices[1].mac", "Not a MAC.", "Write it as six pairs."));

        Assert.Equal(["Not a MAC."], errors.Within("devices"));
        Assert.False(errors.At("devices"));
        Assert.Empty(errors.Within("device"));
        Assert.Equal("Write it as six pairs.", errors.Elsewhere("devices"));
        Assert.Equal("Title. Not a MAC. Write it as six pairs.", errors.Elsewhere("name"));
    }

    [Fact]
    public void No_refusal_is_no_error()
    {
        Assert.Null(FieldErrors.None.Elsewhere("name"));
        Assert.Empty(FieldErrors.None.Within("name"));
    }
}
