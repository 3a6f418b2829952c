using Exitless.Agent.Locality;
using Exitless.Agent.Tests.Trees;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Tests.Interrupts;

/// <summary>Where a VM is, read from the files of a recorded host with two nodes.</summary>
public sealed class LocalityReaderTests : IDisposable
{
    private const int Process = 812;
    private readonly RecordedHost _host = new();

    public LocalityReaderTests()
    {
        _host.Write($"{RecordedHost.Device(RecordedHost.Vf0)}/numa_node", "1");
        _host.Write($"{RecordedHost.Device(RecordedHost.Vf0)}/msi_irqs/41", "msix");
        _host.Write($"{RecordedHost.Device(RecordedHost.Vf0)}/msi_irqs/42", "msix");
        _host.Write("sys/kernel/irq/41/actions", $"vfio-msix[0]({RecordedHost.Vf0})");
        _host.Write("sys/kernel/irq/42/actions", $"vfio-msix[12]({RecordedHost.Vf0})");
        _host.Write("proc/irq/41/effective_affinity_list", "3");
        _host.Write("proc/irq/41/smp_affinity_list", "0-3");
        _host.Write("proc/irq/42/smp_affinity_list", "0-1");
        _host.Write($"proc/{Process}/task/812/comm", "exitless-vmm");
        foreach (var (task, vcpu, cpus) in new[] { (820, "vcpu 1", "0-3"), (819, "vcpu 0", "5") })
        {
            _host.Write($"proc/{Process}/task/{task}/comm", vcpu);
            _host.Write($"proc/{Process}/task/{task}/status", $"Name:\t{vcpu}\nCpus_allowed:\tff\nCpus_allowed_list:\t{cpus}\n");
        }
        _host.Write($"proc/{Process}/numa_maps",
            "00400000 default file=/usr/bin/exitless-agent mapped=900 N0=900 kernelpagesize_kB=4\n"
            + "7f0000000000 bind:1 anon=65536 dirty=65536 N0=8200 N1=57336 kernelpagesize_kB=4\n"
            + "7f1000000000 default file=/anon_hugepage huge anon=32 N1=32 kernelpagesize_kB=2048\n"
            + "7f2000000000 default stack=1 N0=x N1=3 kernelpagesize_kB=4\n");
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Vectors_vCPUs_devices_and_memory_have_their_places()
    {
        var locality = new LocalityReader(_host.Root).Read(Process,
        [
            new DeviceVectors(RecordedHost.Vf0, 16, [new VectorInfo(0, 24, false, false) { Vcpu = 1 }, new VectorInfo(12, 25, false, false) { Injected = true }, new VectorInfo(3, 26, true, false)]),
            new DeviceVectors(RecordedHost.Vf1, 3, []),
        ]);
        Assert.Equal([(0u, 41u, 1u), (12u, 42u, 99u), (3u, 0u, 99u)], locality.Vectors.Select(v => (v.Vector, v.HasIrq ? v.Irq : 0, v.HasVcpu ? v.Vcpu : 99)));
        Assert.Equal([3u], locality.Vectors[0].HostCpus);
        Assert.Equal([0u, 1u], locality.Vectors[1].HostCpus);
        Assert.True(locality.Vectors[1].Injected);
        Assert.Equal((1u, false), (locality.Devices[0].Node, locality.Devices[1].HasNode));
        Assert.Equal([5u], locality.Vcpus.Single(v => v.Index == 0).Cpus);
        Assert.Equal([0u, 1u, 2u, 3u], locality.Vcpus.Single(v => v.Index == 1).Cpus);
        // 8,200 pages are 32 MiB; 57,336 and 32 of 2 MiB are 287 MiB, of which whole steps of 16 MiB count.
        Assert.Equal([(0u, 32ul << 20), (1u, 272ul << 20)], locality.Memory.Select(m => (m.Node, m.Bytes)));
    }
}
