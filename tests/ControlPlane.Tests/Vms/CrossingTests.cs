using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Vms;

namespace Exitless.ControlPlane.Tests.Vms;

/// <summary>What goes a long way round on a host with two nodes of four CPUs each.</summary>
public sealed class CrossingTests
{
    private const string Vf = "0000:41:10.0";
    private static readonly NumaNodeDto[] Nodes = [new(0, [0, 1, 2, 3], 1L << 34), new(1, [4, 5, 6, 7], 1L << 34)];

    [Fact]
    public void A_VM_with_everything_on_its_devices_node_has_none()
    {
        var found = Find(new VectorPlaceDto(Vf, 1, 41, [5], 0, false), cpu: [4], memory: 1);
        Assert.Empty(found.Crossings);
        Assert.Equal([1], found.Vcpus[0].Nodes);
    }

    [Theory]
    [InlineData("device-memory", 5, 4, 0)]
    [InlineData("host-cpu", 3, 4, 1)]
    [InlineData("own-cpu", 4, 4, 1)]
    [InlineData("device-vcpu", 5, 1, 1)]
    public void Each_crossing_is_named_with_what_it_costs(string kind, int hostCpu, int vcpuCpu, int memoryNode)
    {
        var found = Find(new VectorPlaceDto(Vf, 1, 41, [hostCpu], 0, false), [vcpuCpu], memoryNode);
        var crossing = Assert.Single(found.Crossings);
        Assert.Equal(kind, crossing.Kind);
        Assert.Contains(kind == "own-cpu" ? "CPU 4" : "node", crossing.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vCPU_that_may_run_on_both_nodes_is_told_of_and_nothing_is_guessed_about_its_vectors()
    {
        var found = Find(new VectorPlaceDto(Vf, 1, 41, [5], 0, false), [0, 1, 2, 3, 4, 5, 6, 7], 1);
        Assert.Equal(["vcpu-nodes"], found.Crossings.Select(c => c.Kind));
    }

    [Fact]
    public void What_the_firmware_and_the_guest_do_not_say_crosses_nothing()
    {
        var reported = new LocalityDto([new VectorPlaceDto(Vf, 1, null, [], null, false)], [new VcpuPlaceDto(0, [0], [])], [new DevicePlaceDto(Vf, null)], [new MemoryPlaceDto(1, 1 << 28)], []);
        Assert.Empty(Crossings.Find(reported, Nodes).Crossings);
    }

    private static LocalityDto Find(VectorPlaceDto vector, IReadOnlyList<int> cpu, int memory) =>
        Crossings.Find(new LocalityDto([vector], [new VcpuPlaceDto(0, cpu, [])], [new DevicePlaceDto(Vf, 1)], [new MemoryPlaceDto(memory, 1 << 28)], []), Nodes);
}
