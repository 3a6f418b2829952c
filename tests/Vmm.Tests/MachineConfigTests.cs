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
    public void A_good_configuration_is_taken() => MachineBuilder.CheckConfig(Good with { Devices = [new("0000:01:00.0", 1), new("0000:01:00.1", 1)] });

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Other_than_one_vcpu_is_refused(int vcpus) => AssertProblem(Good with { Vcpus = vcpus }, "vcpus-unsupported", "vcpus", $"{vcpus} were asked for");

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
        var problem = Assert.Throws<VmmProblemException>(() => MachineBuilder.CheckAddresses(Good with { MemoryBytes = bytes }, 1UL << bits));
        Assert.Equal(("memory-too-large", "memoryBytes"), (problem.Code, problem.Field));
        Assert.Contains($"0x{1UL << bits:x}", problem.Detail, StringComparison.Ordinal);
    }

    private static VmmProblemException AssertProblem(VmConfig config, string code, string field, string says)
    {
        var problem = Assert.Throws<VmmProblemException>(() => MachineBuilder.CheckConfig(config));
        Assert.Equal((code, field), (problem.Code, problem.Field));
        Assert.Contains(says, problem.Detail, StringComparison.Ordinal);
        return problem;
    }
}
