using System.Text.Json;
using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests.Control;

/// <summary>Agents and VMMs of different versions understand each other's ends.</summary>
public sealed class VmEndTests
{
    private static readonly string[] FirstReasons = ["PowerOff", "Reset", "TripleFault", "Killed", "Error"];

    [Fact]
    public void Every_reason_comes_back_and_looks_known_to_the_first_agents()
    {
        foreach (var reason in Enum.GetValues<VmEndReason>())
        {
            var end = new VmEnd(reason, "why \"so\"", 1234);
            var text = JsonSerializer.Serialize(end, ControlJson.Default.VmEnd);
            Assert.Equal(end, JsonSerializer.Deserialize(text, ControlJson.Default.VmEnd));
            Assert.Contains(JsonDocument.Parse(text).RootElement.GetProperty("reason").GetString(), FirstReasons);
        }
    }

    [Theory]
    [InlineData("""{"reason":"Reset","text":"x","at":5}""", VmEndReason.Reset)]
    [InlineData("""{"reason":"Error","cause":"SwallowedByAWhale","text":"x","at":5}""", VmEndReason.Error)]
    [InlineData("""{"reason":"SwallowedByAWhale","cause":7,"text":"x","at":5}""", VmEndReason.Error)]
    public void What_older_and_newer_versions_write_is_understood(string text, VmEndReason reason) =>
        Assert.Equal(new VmEnd(reason, "x", 5), JsonSerializer.Deserialize(text, ControlJson.Default.VmEnd));

    [Fact]
    public void What_is_no_end_is_an_error_of_its_text() =>
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize("[]", ControlJson.Default.VmEnd));
}
