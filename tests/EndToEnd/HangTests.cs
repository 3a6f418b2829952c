using System.IO.Compression;
using System.Text.Json;
using Exitless.Benchmarks;
using Exitless.Run.Stack;

namespace Exitless.EndToEnd;

/// <summary>A guest that takes no interrupts and has no timer is told to hang; its graphs go on.</summary>
[Collection(DemoFixture.OneAfterAnother)]
public sealed class HangTests(DemoFixture demo)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_guest_that_hangs_is_shown_as_that_and_one_that_idles_is_not()
    {
        await demo.InHostAsync($"echo {Packed(TinyImage.Hang)} | base64 -d | gunzip >/var/lib/exitless/images/hang.vmlinuz");
        await Eventually.HoldsAsync("the image in the inventory", Limit, async () =>
            (await demo.Rest.GetAsync($"api/v1/hosts/{demo.HostId}", Cancellation)).GetProperty("facts").GetProperty("images").EnumerateArray().Any(image => image.GetProperty("name").GetString() == "hang.vmlinuz"), Cancellation);
        var operation = await demo.Rest.PostAsync("api/v1/vms", new { name = "hang", hostId = demo.HostId, kernel = "hang.vmlinuz", memoryMib = 64, start = true }, Cancellation);
        await demo.Rest.DoneAsync(operation, Limit, Cancellation);
        var path = $"api/v1/vms/{operation.GetProperty("vmId").GetGuid()}";
        await Eventually.HoldsAsync("the hang", Limit, async () => Problem(await demo.Rest.GetAsync(path, Cancellation)) == "guest-hung", Cancellation);

        var vm = await demo.Rest.GetAsync(path, Cancellation);
        Assert.Equal("running", vm.GetProperty("state").GetString());
        var detail = vm.GetProperty("problem").GetProperty("detail").GetString()!;
        TestContext.Current.TestOutputHelper?.WriteLine(detail);
        Assert.Matches("vCPU 0 runs at RIP 0x[0-9a-f]+ with interrupts off, and leaves interrupt 0x41 waiting. No vCPU has a timer armed.", detail);
        Assert.Contains((await demo.Rest.GetAsync($"api/v1/events?vmId={operation.GetProperty("vmId").GetGuid()}", Cancellation)).EnumerateArray(), one => one.GetProperty("kind").GetString() == "guest-hung");

        // Rows come all the same.
        var rows = await RowsAsync();
        await Eventually.HoldsAsync("two more rows", Limit, async () => await RowsAsync() >= rows + 2, Cancellation);
        Assert.Null(Problem(await demo.RunningAsync()));

        await demo.Rest.DoneAsync(await demo.Rest.PostAsync($"{path}/actions/force-off", null, Cancellation), Limit, Cancellation);
        Assert.Null(Problem(await demo.Rest.GetAsync(path, Cancellation)));
        await demo.Rest.DoneAsync(await demo.Rest.DeleteAsync(path, Cancellation), Limit, Cancellation);

        async Task<int> RowsAsync() => (await demo.Rest.GetAsync($"{path}/metrics?series=kvm.vcpu.0.exits", Cancellation)).GetProperty("times").GetArrayLength();
    }

    private static string? Problem(JsonElement vm) => vm.GetProperty("problem") is { ValueKind: JsonValueKind.Object } problem ? problem.GetProperty("code").GetString() : null;

    private static string Packed(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize))
            gzip.Write(bytes);
        return Convert.ToBase64String(packed.ToArray());
    }
}
