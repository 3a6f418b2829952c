using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>The switch of a VM's interrupts is thrown while they come, and the guest loses none.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class SwitchTests(DemoFixture demo)
{
    private const int Times = 4;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Thrown_under_traffic_it_costs_no_packet_and_the_interrupts_are_told_as_before()
    {
        await demo.StopPingAsync();
        await demo.StartPingAsync();
        for (var i = 0; i < Times; i++)
        {
            await ThrowAsync("injected");
            await MoreRepliesAsync();
            await ThrowAsync("best");
            await MoreRepliesAsync();
        }
        // One vector alone, and one that the device does not have: that is told, and the VM runs on.
        await ThrowAsync("injected", 1);
        await MoreRepliesAsync();
        await ThrowAsync("injected", 2000);
        await Eventually.HoldsAsync("the event of the refusal", TimeSpan.FromSeconds(60), async () =>
            (await demo.Rest.GetAsync($"api/v1/events?vmId={demo.Vm.Id}", Cancellation)).EnumerateArray().Any(one =>
                one.GetProperty("kind").GetString() == "switch-refused" && one.GetProperty("message").GetString()!.Contains("2000", StringComparison.Ordinal)), Cancellation);
        await ThrowAsync("best");
        await MoreRepliesAsync();
        // The lab's processor does not virtualize the APIC.
        var refused = await Assert.ThrowsAsync<RestProblemException>(() => ThrowAsync("assisted"));
        Assert.Equal("interrupts-not-assisted", refused.Code);

        var end = await demo.StopPingAsync();
        Assert.Equal(0, end.Values["lost"]);
        await demo.RunningAsync();
        await demo.StartPingAsync();
    }

    private async Task ThrowAsync(string path, int? vector = null)
    {
        object request = vector is null ? new { path } : new { path, device = demo.Vm.Vf, vector };
        await demo.Rest.DoneAsync(await demo.Rest.PostAsync($"api/v1/vms/{demo.Vm.Id}/actions/switch-interrupts", request, Cancellation), TimeSpan.FromMinutes(2), Cancellation);
    }

    private async Task MoreRepliesAsync()
    {
        var before = (await demo.ReportAsync("report ping", (report, _) => report.Word == "ping")).Values["received"];
        await Eventually.HoldsAsync("ten more replies", TimeSpan.FromSeconds(90), async () => (await demo.ReportAsync("report ping", (report, _) => report.Word == "ping")).Values["received"] >= before + 10, Cancellation);
    }
}
