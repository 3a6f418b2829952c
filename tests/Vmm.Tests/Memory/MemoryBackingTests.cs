using System.Buffers.Binary;
using Exitless.Linux;
using Exitless.Vmm.Acpi;
using Exitless.Vmm.Control;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;

namespace Exitless.Vmm.Tests.Memory;

/// <summary>Huge pages and NUMA nodes: what is refused on a recorded host of two nodes, and what the guest is told.</summary>
public sealed class MemoryBackingTests : IDisposable
{
    private const long MiB = 1 << 20, GiB = 1 << 30;
    private readonly string _folder = Directory.CreateTempSubdirectory("exitless").FullName;
    private readonly HostRoot _host;

    public MemoryBackingTests()
    {
        _host = new HostRoot(_folder);
        Write("devices/system/node/online", "0-1");
        Write("devices/system/node/node0/distance", "10 21");
        Write("devices/system/node/node1/distance", "21 10");
        Write("devices/system/node/node0/meminfo", "Node 0 MemTotal:       1048576 kB\nNode 0 MemFree:         100000 kB");
        Write("devices/system/node/node1/meminfo", "Node 1 MemTotal:       2097152 kB");
        Write("devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "100");
        Write("devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "28");
        Write("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "128");
        Write("kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "8");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_the_host_has_is_taken()
    {
        MemoryChecks.CheckHost(Config(240 * MiB, new VmMemory { PageBytes = 2 * MiB }), _host);
        MemoryChecks.CheckHost(Config(128 * MiB, new VmMemory { PageBytes = 2 * MiB, Nodes = [Node(100 * MiB, 0), Node(28 * MiB, 1)] }), _host);
        MemoryChecks.CheckHost(Config(2 * GiB, new VmMemory { Nodes = [Node(GiB, 0), Node(GiB, 1)] }), _host);
        MemoryChecks.CheckHost(Config(GiB, null), new HostRoot(Path.Combine(_folder, "nothing")));
    }

    [Fact]
    public void Too_few_huge_pages_on_the_host_are_counted() =>
        AssertHost(242 * MiB, new VmMemory { PageBytes = 2 * MiB }, "hugepages-not-available", "120 free pages of 2 MiB; 121 are needed");

    [Fact]
    public void Too_few_huge_pages_on_a_node_are_counted() =>
        AssertHost(60 * MiB, new VmMemory { PageBytes = 2 * MiB, Nodes = [Node(30 * MiB, 1), Node(30 * MiB, 1)] }, "hugepages-not-available", "Node 1 of the host has 28 free pages of 2 MiB; 30 are needed");

    [Fact]
    public void A_size_of_pages_that_the_host_lacks_is_named() =>
        AssertHost(GiB, new VmMemory { PageBytes = GiB }, "hugepages-not-available", "no pages of 1,024 MiB");

    [Fact]
    public void A_node_that_the_host_lacks_is_named() =>
        AssertHost(GiB, new VmMemory { Nodes = [Node(GiB, 2)] }, "host-node-missing", "Node 2 was asked for; the host has 0, 1");

    [Fact]
    public void A_node_with_less_memory_is_told() =>
        AssertHost(2 * GiB, new VmMemory { Nodes = [Node(2 * GiB, 0)] }, "host-node-too-small", "1,073,741,824 bytes; 2,147,483,648");

    [Fact]
    public void The_kernels_refusal_to_bind_is_told()
    {
        var memory = new VmMemory { Nodes = [Node(4 * MiB, 1000)] };
        var problem = Assert.Throws<VmmProblemException>(() => new GuestMemory((ulong)(4 * MiB), memory, GuestNodes.Of(memory, _host)));
        Assert.Equal(("host-node-missing", "memory.nodes"), (problem.Code, problem.Field));
        Assert.Contains("node 1000", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void Pages_are_there_before_they_are_touched_if_asked_for()
    {
        using var memory = new GuestMemory((ulong)(8 * MiB), new VmMemory { Prefault = true });
        var start = $"{memory.Ranges[0].HostAddress:x}-";
        var lines = File.ReadLines("/proc/self/smaps").SkipWhile(l => !l.StartsWith(start, StringComparison.Ordinal)).ToList();
        Assert.Contains("8192 kB", lines.First(l => l.StartsWith("Rss:", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void Nodes_follow_one_another_around_the_hole_and_keep_the_hosts_distances()
    {
        var nodes = GuestNodes.Of(new VmMemory { Nodes = [Node(2 * GiB, 0), Node(2 * GiB, 1), Node(GiB, 1), Node(GiB, null)] }, _host);
        Assert.Equal([(0UL, 2UL << 30)], nodes.Nodes[0].Ranges);
        Assert.Equal([(2UL << 30, 1UL << 30), (4UL << 30, 1UL << 30)], nodes.Nodes[1].Ranges);
        Assert.Equal([(5UL << 30, 1UL << 30)], nodes.Nodes[2].Ranges);
        byte[,] distances = { { 10, 21, 21, 20 }, { 21, 10, 20, 20 }, { 21, 20, 10, 20 }, { 20, 20, 20, 10 } };
        Assert.Equal(distances, nodes.Distances);
    }

    [Fact]
    public void The_tables_name_each_vcpu_and_each_range()
    {
        var topology = new CpuTopology(2, 3, 1);
        var nodes = GuestNodes.Of(new VmMemory { Nodes = [Node(4 * GiB, 0, 0, 1, 2), Node(GiB, 1, 3, 4, 5)] }, _host);
        var srat = NumaTables.Srat(topology, nodes);
        Assert.Equal(12 + (6 * 16) + (3 * 40), srat.Length);
        Assert.Equal("001000000100000000000000" + "00000000", Convert.ToHexString(srat, 12, 16));
        Assert.Equal("0128000000000000", Convert.ToHexString(srat, 60, 8));
        Assert.Equal((0UL, 3UL << 30, 1U), Range(srat, 60));
        Assert.Equal((4UL << 30, 1UL << 30, 1U), Range(srat, 100));
        // vCPU 3 is core 0 of socket 1: APIC id 4.
        Assert.Equal("0010010401000000", Convert.ToHexString(srat, 140, 8));
        Assert.Equal((5UL << 30, 1UL << 30, 1U), Range(srat, 188));
        Assert.Equal("02000000000000000A15150A", Convert.ToHexString(NumaTables.Slit(nodes)));
        var one = new AcpiTables(topology, null, GuestNodes.Of(new VmMemory { Nodes = [Node(GiB, 0)] }, _host)).Image;
        Assert.Equal(-1, one.AsSpan().IndexOf("SRAT"u8));
        Assert.InRange(new AcpiTables(topology, null, nodes).Image.AsSpan().IndexOf("SLIT"u8), 1, int.MaxValue);
    }

    private void AssertHost(long bytes, VmMemory memory, string code, string says)
    {
        var problem = Assert.Throws<VmmProblemException>(() => MemoryChecks.CheckHost(Config(bytes, memory), _host));
        Assert.Equal(code, problem.Code);
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
    }

    private static VmConfig Config(long bytes, VmMemory? memory) => TinyKernel.Config(memoryBytes: bytes) with { Memory = memory };

    private static VmMemoryNode Node(long bytes, int? host, params int[] vcpus) => new() { Bytes = bytes, HostNode = host, Vcpus = vcpus };

    private void Write(string path, string text)
    {
        var file = _host.Sys(path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text + "\n");
    }

    private static (ulong, ulong, uint) Range(byte[] srat, int at) =>
        (BinaryPrimitives.ReadUInt64LittleEndian(srat.AsSpan(at + 8)), BinaryPrimitives.ReadUInt64LittleEndian(srat.AsSpan(at + 16)), BinaryPrimitives.ReadUInt32LittleEndian(srat.AsSpan(at + 28)));
}
