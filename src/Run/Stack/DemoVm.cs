using System.Text.Json;

namespace Exitless.Run.Stack;

/// <summary>The demo VM: it owns one VF, sets its address, and pings through it for as long as it runs.</summary>
public sealed class DemoVm
{
    private static readonly TimeSpan OperationLimit = TimeSpan.FromMinutes(5);
    private readonly RestClient _rest;

    private DemoVm(RestClient rest, Guid id, string vf)
    {
        _rest = rest;
        Id = id;
        Vf = vf;
    }

    /// <summary>The VM's id.</summary>
    public Guid Id { get; }

    /// <summary>PCI address of the VF that it owns.</summary>
    public string Vf { get; }

    /// <summary>Makes sure that the host's first idle PF has <paramref name="count"/> VFs.</summary>
    /// <returns>The PF's address.</returns>
    public static async Task<string> EnsureVfsAsync(RestClient rest, Guid host, int count, CancellationToken cancellation)
    {
        var devices = await rest.GetAsync($"api/v1/devices?hostId={host}", cancellation);
        foreach (var pf in devices.EnumerateArray().Where(device => device.GetProperty("kind").GetString() == "pf"))
        {
            var address = pf.GetProperty("address").GetString()!;
            if (pf.GetProperty("numVfs").GetInt32() >= count)
                return address;
            if (pf.GetProperty("inUse").ValueKind == JsonValueKind.String)
                continue;
            var operation = await rest.PostAsync($"api/v1/hosts/{host}/devices/{address}/vfs", new { count }, cancellation);
            await rest.DoneAsync(operation, OperationLimit, cancellation);
            return address;
        }
        throw new RunFailedException("vfs", $"the host has no PF that could be given {count} VFs: {devices}");
    }

    /// <summary>The first VF of a host that a new VM could own; waits until the host has reported one.</summary>
    public static async Task<string> FreeVfAsync(RestClient rest, Guid host, CancellationToken cancellation)
    {
        var found = await Eventually.GetAsync("a free VF in the host's inventory", TimeSpan.FromSeconds(60), async () =>
        {
            var devices = await rest.GetAsync($"api/v1/devices?hostId={host}", cancellation);
            var free = devices.EnumerateArray().FirstOrDefault(device =>
                device.GetProperty("kind").GetString() == "vf" && device.GetProperty("assignable").GetBoolean());
            return free.ValueKind == JsonValueKind.Object ? free.GetProperty("address").GetString() : null;
        }, cancellation);
        return found;
    }

    /// <summary>Creates and starts the VM, or starts the one of that name that is there.</summary>
    public static async Task<DemoVm> EnsureAsync(RestClient rest, Guid host, DemoVmOptions options, CancellationToken cancellation)
    {
        var all = await rest.GetAsync("api/v1/vms", cancellation);
        var known = all.EnumerateArray().FirstOrDefault(vm => vm.GetProperty("name").GetString() == options.Name);
        if (known.ValueKind == JsonValueKind.Object)
        {
            var vm = new DemoVm(rest, known.GetProperty("id").GetGuid(), known.GetProperty("devices")[0].GetProperty("address").GetString()!);
            await vm.StartAsync(cancellation);
            return vm;
        }
        var vf = await FreeVfAsync(rest, host, cancellation);
        var operation = await rest.PostAsync("api/v1/vms", options.Request(host, vf), cancellation);
        var made = new DemoVm(rest, operation.GetProperty("vmId").GetGuid(), vf);
        await rest.DoneAsync(operation, OperationLimit, cancellation);
        return made;
    }

    /// <summary>The VM as REST shows it.</summary>
    public Task<JsonElement> GetAsync(CancellationToken cancellation) => _rest.GetAsync($"api/v1/vms/{Id}", cancellation);

    /// <summary>Starts it and waits until it runs.</summary>
    public Task StartAsync(CancellationToken cancellation) => ActAsync("start", cancellation);

    /// <summary>Stops it by its power button and waits until it has ended.</summary>
    public Task StopAsync(CancellationToken cancellation) => ActAsync("stop", cancellation);

    /// <summary>Ends it at once.</summary>
    public Task ForceOffAsync(CancellationToken cancellation) => ActAsync("force-off", cancellation);

    /// <summary>Removes it.</summary>
    public async Task DeleteAsync(CancellationToken cancellation) =>
        await _rest.DoneAsync(await _rest.DeleteAsync($"api/v1/vms/{Id}", cancellation), OperationLimit, cancellation);

    /// <summary>Throws the switch of its interrupts: best, assisted or injected.</summary>
    public async Task SwitchInterruptsAsync(string path, CancellationToken cancellation) =>
        await _rest.DoneAsync(await _rest.PostAsync($"api/v1/vms/{Id}/actions/switch-interrupts", new { path }, cancellation), OperationLimit, cancellation);

    /// <summary>Its console.</summary>
    public Task<ConsoleReader> ConsoleAsync(CancellationToken cancellation) => ConsoleReader.AttachAsync(_rest, Id, cancellation);

    /// <summary>One series of the last hour as it is stored: Unix seconds and values, in order; rows without a value are left out.</summary>
    public async Task<IReadOnlyList<(double Time, double Value)>> RowsAsync(string series, CancellationToken cancellation)
    {
        var answer = await _rest.GetAsync($"api/v1/vms/{Id}/metrics?series={series}", cancellation);
        var times = answer.GetProperty("times").EnumerateArray().Select(time => time.GetInt64() / 1000.0);
        var values = answer.GetProperty("series")[0].GetProperty("values").EnumerateArray();
        return [.. times.Zip(values).Where(row => row.Second.ValueKind == JsonValueKind.Number).Select(row => (row.First, row.Second.GetDouble()))];
    }

    /// <summary>Stored metrics as they are, the whole last hour: each series' newest value by key.</summary>
    public async Task<IReadOnlyDictionary<string, long>> NewestAsync(string series, CancellationToken cancellation)
    {
        var answer = await _rest.GetAsync($"api/v1/vms/{Id}/metrics?series={series}", cancellation);
        var newest = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var one in answer.GetProperty("series").EnumerateArray())
        {
            var last = one.GetProperty("values").EnumerateArray().LastOrDefault(value => value.ValueKind == JsonValueKind.Number);
            if (last.ValueKind == JsonValueKind.Number)
                newest[one.GetProperty("key").GetString()!] = last.GetInt64();
        }
        return newest;
    }

    private async Task ActAsync(string action, CancellationToken cancellation) =>
        await _rest.DoneAsync(await _rest.PostAsync($"api/v1/vms/{Id}/actions/{action}", null, cancellation), OperationLimit, cancellation);
}
