using System.Text.Json.Nodes;

namespace Exitless.Booted.Tests;

/// <summary>A guest in the foreground, from power-on to its end.</summary>
[Collection(BootedHostCollection.Name)]
[Trait("Category", "Lab")]
public sealed class BootTests(BootedHost host)
{
    [Fact]
    public async Task A_guest_without_devices_boots_takes_orders_and_switches_itself_off()
    {
        await using var vm = await host.BootAsync(new JsonObject { ["memoryMib"] = 256 });
        Assert.Contains("kernel=", await vm.WaitUntilReadyAsync());
        await vm.OrderAsync("echo sum=$((40+2))", "sum=42");

        var running = await vm.StatisticsAsync();
        Assert.True(running.GetProperty("vcpus")[0].GetProperty("exits").GetInt64() > 0);
        Assert.False(running.TryGetProperty("end", out _));

        await vm.TypeAsync("poweroff -f");
        var (code, last) = await vm.WaitForEndAsync();
        Assert.Equal(0, code);
        Assert.Equal("PowerOff", last.GetProperty("end").GetProperty("reason").GetString());
        Assert.True(last.GetProperty("vcpus")[0].GetProperty("exits").GetInt64() > running.GetProperty("vcpus")[0].GetProperty("exits").GetInt64());
        Assert.Contains("end=PowerOff", await vm.MessagesAsync());
        await host.RunAsync($"! ls /proc/{last.GetProperty("processId").GetInt32()} 2>/dev/null");
    }

    [Fact]
    public async Task A_description_that_is_wrong_is_refused_with_what_is_wrong()
    {
        await using var typo = await host.BootAsync(new JsonObject { ["memoryMb"] = 256 });
        Assert.Equal(1, (await typo.WaitForEndAsync()).ExitCode);
        Assert.Contains("'memoryMb'", await typo.MessagesAsync());

        await using var device = await host.BootAsync(new JsonObject { ["devices"] = new JsonArray(new JsonObject { ["address"] = "0000:7f:00.0" }) });
        Assert.Equal(1, (await device.WaitForEndAsync()).ExitCode);
        Assert.Contains("device-not-found", await device.MessagesAsync());
    }
}
