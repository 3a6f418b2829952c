using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Placement;

namespace Exitless.ControlPlane.Tests.Placement;

public sealed class PlacementRulesTests
{
    private static readonly HostOffer Host = new(
        Guid.Parse("01930000-0000-7000-8000-000000000001"), "host-1", false, false, true, 8, 8192, 4096, [], true, true,
        new Dictionary<int, IReadOnlyList<string>> { [0] = ["0000:01:10.0"], [1] = ["0000:81:10.0", "0000:81:10.2", "0000:81:10.4"] });

    private static readonly PlacementRequest Asked = new(2, 1024, 1, "debian.vmlinuz", null, false, PlacementPolicy.Spread, 100);

    public static TheoryData<string, string> Refusals => new()
    {
        { "host-revoked", "revoked" }, { "host-recovering", "restored" }, { "host-not-connected", "link is lost" }, { "host-not-inventoried", "not reported" }, { "capability-missing", "lacks iommu" },
        { "vcpus-too-many", "8 CPUs, and 9" }, { "memory-too-much", "8192 MiB, and 8193" }, { "memory-short", "4096 of its 8192 MiB are left, and 4097" }, { "image-not-found", "kernel 'debian.vmlinuz'" },
        { "vfs-short", "4 free VFs, and 5" }, { "vfs-short-on-node", "no NUMA node of it has 4 free VFs; the most are 3" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public void A_host_that_does_not_fit_says_why(string code, string words)
    {
        var (request, host) = code switch
        {
            "host-revoked" => (Asked, Host with { Revoked = true, Linked = false }),
            "host-recovering" => (Asked, Host with { Recovering = true, Linked = false }),
            "host-not-connected" => (Asked, Host with { Linked = false }),
            "host-not-inventoried" => (Asked, Host with { Cpus = null }),
            "capability-missing" => (Asked, Host with { Missing = ["iommu", "memlock"] }),
            "vcpus-too-many" => (Asked with { Vcpus = 9 }, Host),
            "memory-too-much" => (Asked with { MemoryMib = 8193 }, Host),
            "memory-short" => (Asked with { MemoryMib = 4097 }, Host),
            "image-not-found" => (Asked, Host with { HasKernel = false }),
            "vfs-short" => (Asked with { Vfs = 5 }, Host),
            _ => (Asked with { Vfs = 4, OneNode = true }, Host),
        };
        var against = PlacementRules.Against(request, host);
        Assert.Equal(code, against?.Code);
        Assert.Contains(words, against!.Value.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void What_only_devices_need_does_not_keep_out_a_VM_without_any() =>
        Assert.Null(PlacementRules.Against(Asked with { Vfs = 0, OneNode = true }, Host with { Missing = ["iommu"], FreeVfs = new Dictionary<int, IReadOnlyList<string>>() }));

    [Fact]
    public void Devices_are_on_one_node_where_they_can_be_and_on_the_one_that_is_left_with_the_fewest()
    {
        Assert.Null(PlacementRules.Against(Asked with { MemoryMib = 4096 }, Host));
        Assert.Equal((0, "0000:01:10.0"), (PlacementRules.Place(Asked, Host).NumaNode, PlacementRules.Place(Asked, Host).Devices.Single()));
        var two = PlacementRules.Place(Asked with { Vfs = 2 }, Host);
        Assert.Equal(1, two.NumaNode);
        Assert.Equal(["0000:81:10.0", "0000:81:10.2"], two.Devices);
        var four = PlacementRules.Place(Asked with { Vfs = 4 }, Host);
        Assert.Null(four.NumaNode);
        Assert.Equal(4, four.Devices.Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public void The_node_that_a_host_does_not_tell_is_none() =>
        Assert.Null(PlacementRules.Place(Asked, Host with { FreeVfs = new Dictionary<int, IReadOnlyList<string>> { [-1] = ["0000:01:10.0"] } }).NumaNode);
}
