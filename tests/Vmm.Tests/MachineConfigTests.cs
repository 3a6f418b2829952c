using Exitless.Vmm.Control;

namespace Exitless.Vmm.Tests;

/// <summary>What is refused before any descriptor is touched.</summary>
public sealed class MachineConfigTests
{
    private static readonly VmConfig Good = new()
    {
        VmId = new Guid("00000000-0000-0000-0000-000000000001"),
        Name = "vm",
        Vcpus = 1,
        MemoryBytes = 64 << 20,
        CommandLine = "",
        ConsoleLogPath = "",
        HasInitrd = false,
        Devices = [],
    };

    [Fact]
    public void A_good_configuration_is_taken() => ConfigChecks.Check(Good with { Devices = [new("0000:01:00.0", 1), new("0000:01:00.1", 1)] });

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(65)]
    public void A_number_of_vcpus_out_of_range_is_refused(int vcpus) => AssertProblem(Good with { Vcpus = vcpus }, "vcpus-unsupported", "vcpus", $"{vcpus} were asked for");

    [Theory]
    [InlineData(64, 1, 64, 1)]
    [InlineData(12, 2, 3, 2)]
    [InlineData(64, 64, 1, 1)]
    public void A_topology_with_as_many_vcpus_is_taken(int vcpus, int sockets, int cores, int threads) =>
        ConfigChecks.Check(Good with { Vcpus = vcpus, Topology = new VmTopology(sockets, cores, threads) });

    [Theory]
    [InlineData(4, 2, 1, 1)]
    [InlineData(4, -2, -2, 1)]
    [InlineData(1, 0, 1, 1)]
    [InlineData(1, int.MaxValue, int.MaxValue, 2)]
    [InlineData(1, 65537, 65537, 1)]
    public void A_topology_of_another_number_of_vcpus_is_refused(int vcpus, int sockets, int cores, int threads) =>
        AssertProblem(Good with { Vcpus = vcpus, Topology = new VmTopology(sockets, cores, threads) }, "topology-mismatch", "topology", $"{sockets} sockets of {cores} cores of {threads} threads");

    [Theory]
    [InlineData(0, "2 MiB")]
    [InlineData(-1, "2 MiB")]
    [InlineData((64 << 20) + 4096, "66 MiB")]
    public void Memory_of_odd_size_is_refused_and_the_next_good_one_named(long bytes, string says)
    {
        var problem = AssertProblem(Good with { MemoryBytes = bytes }, "memory-not-aligned", "memoryBytes", $"{bytes:#,0} bytes");
        Assert.Contains(says, problem.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Nodes_that_make_up_the_vm_are_taken() => ConfigChecks.Check(Good with
    {
        Vcpus = 3,
        Memory = new VmMemory { PageBytes = 2 << 20, Nodes = [new VmMemoryNode { Bytes = 40 << 20, Vcpus = [0, 2] }, new VmMemoryNode { Bytes = 24 << 20, HostNode = 1, Vcpus = [1] }] },
    });

    [Theory]
    [InlineData(40, 20, "0,1", "2", "62,914,560 bytes together")]
    [InlineData(40, 24, "0,1", "", "vCPU 2 is in no node")]
    [InlineData(40, 24, "0,1,2", "2", "vCPU 2 is named twice")]
    [InlineData(40, 24, "0,1", "2,3", "vCPU 3; the VM has 3")]
    [InlineData(64, 0, "0,1,2", "", "Node 1 has 0 bytes")]
    [InlineData(63, 1, "0,1,2", "", "whole pages of 2 MiB")]
    public void Nodes_that_do_not_make_up_the_vm_are_refused(int first, int second, string firstVcpus, string secondVcpus, string says)
    {
        var memory = new VmMemory { Nodes = [Node(first, firstVcpus), Node(second, secondVcpus)] };
        AssertProblem(Good with { Vcpus = 3, Memory = memory }, "memory-nodes-mismatch", "memory.nodes", says);

        static VmMemoryNode Node(int mebibytes, string vcpus) => new() { Bytes = (long)mebibytes << 20, Vcpus = [.. vcpus.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)] };
    }

    [Fact]
    public void Pages_of_odd_size_are_refused() => AssertProblem(Good with { Memory = new VmMemory { PageBytes = 4096 } }, "page-size-unsupported", "memory.pageBytes", "4,096");

    [Fact]
    public void Memory_of_1_GiB_pages_is_whole_ones() =>
        Assert.Contains("1,024 MiB", AssertProblem(Good with { Memory = new VmMemory { PageBytes = 1 << 30 } }, "memory-not-aligned", "memoryBytes", "67,108,864").Remedy, StringComparison.Ordinal);

    [Fact]
    public void More_devices_than_slots_are_refused() =>
        AssertProblem(Good with { Devices = [.. Enumerable.Range(0, 32).Select(i => new VfioDeviceConfig($"0000:01:{i:x2}.0", i))] }, "too-many-devices", "devices", "31 fit");

    [Fact]
    public void A_device_that_is_named_twice_is_refused() =>
        AssertProblem(Good with { Devices = [new("0000:01:00.0", 1), new("0000:01:00.0", 1)] }, "device-twice", "devices", "0000:01:00.0");

    [Theory]
    [InlineData(1L << 36, 36)]
    [InlineData(long.MaxValue / (2 << 20) * (2 << 20), 48)]
    public void Memory_beyond_the_cpus_addresses_is_refused(long bytes, int bits)
    {
        var problem = Assert.Throws<VmmProblemException>(() => ConfigChecks.CheckAddresses(Good with { MemoryBytes = bytes }, 1UL << bits));
        Assert.Equal(("memory-too-large", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains($"0x{1UL << bits:x}", problem.Detail, StringComparison.Ordinal);
    }

    private static VmmProblemException AssertProblem(VmConfig config, string code, string field, string says)
    {
        var problem = Assert.Throws<VmmProblemException>(() => ConfigChecks.Check(config));
        Assert.Equal((code, field), (problem.Code, problem.Field));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
        return problem;
    }
}
