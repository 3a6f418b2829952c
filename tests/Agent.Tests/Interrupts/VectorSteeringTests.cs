using Exitless.Agent.Interrupts;
using Exitless.Agent.Tests.Trees;
using Exitless.Contracts;

namespace Exitless.Agent.Tests.Interrupts;

/// <summary>Which CPU takes an interrupt that is not posted. The lab has no virtualized APIC: what the processor makes of it has been tried on no host yet.</summary>
public sealed class VectorSteeringTests : IDisposable
{
    private readonly RecordedHost _host = new();

    public VectorSteeringTests()
    {
        _host.Write("sys/devices/system/cpu/online", "0-5");
        _host.Write("sys/devices/system/cpu/isolated", "4-5");
        foreach (var irq in (int[])[41, 42, 43])
            _host.Write($"proc/irq/{irq}/smp_affinity_list", "0-3");
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void An_assisted_one_goes_to_another_CPU_an_injected_one_to_the_vCPUs_own_and_the_best_path_to_those_of_the_host()
    {
        Assert.Empty(Throw(Switch(RecordedHost.Vf0, 0, assisted: true), Switch(RecordedHost.Vf0, 1, assisted: false)));
        Assert.Equal(("0,1,2,3", "5", "0,1,2,3"), (Affinity(41), Affinity(42), Affinity(43)));
        // The one that goes to no vCPU in particular is refused, the others are moved.
        Assert.Contains("Vector 2", Assert.Single(Throw(Switch("", null, assisted: false), Switch(RecordedHost.Vf0, null, assisted: true))), StringComparison.Ordinal);
        Assert.Equal(("0,1,2,3", "0,1,2,3"), (Affinity(41), Affinity(42)));
        Assert.Empty(Throw(Switch("", null, assisted: false)));
        Assert.Equal(("4", "5"), (Affinity(41), Affinity(42)));
        Assert.Empty(Throw());
        Assert.Equal(("0,1,2,3", "0,1,2,3"), (Affinity(41), Affinity(42)));
    }

    [Fact]
    public void Without_a_CPU_that_is_anothers_it_is_refused_and_stays_where_it_is()
    {
        _host.Write("sys/devices/system/cpu/isolated", "");
        var places = Places();
        places.Vcpus[0].Cpus.Clear();
        places.Vcpus[0].Cpus.AddRange([0, 1, 2, 3, 4, 5]);
        var refused = VectorSteering.Apply(_host.Root, VectorSteering.Plan(_host.Root, places, [Switch(RecordedHost.Vf0, 0, assisted: true), Switch(RecordedHost.Vf0, 2, assisted: true)]));
        Assert.Equal(2, refused.Count);
        Assert.Contains("may run on every CPU", refused[0], StringComparison.Ordinal);
        Assert.Contains("goes to no vCPU in particular", refused[1], StringComparison.Ordinal);
        Assert.Equal("0-3", Affinity(41));
    }

    private IReadOnlyList<string> Throw(params InterruptSwitch[] switches)
    {
        // A file of procfs is written as a whole; one of a disk keeps what lies behind, so there must be no more than one character of it.
        foreach (var irq in (int[])[41, 42, 43])
            _host.Write($"proc/irq/{irq}/smp_affinity_list", "9");
        return VectorSteering.Apply(_host.Root, VectorSteering.Plan(_host.Root, Places(), switches));
    }

    private string Affinity(int irq) => _host.Text($"proc/irq/{irq}/smp_affinity_list").Trim();

    private static InterruptSwitch Switch(string address, uint? vector, bool assisted)
    {
        var one = new InterruptSwitch { Address = address, Injected = true, Assisted = assisted };
        if (vector is { } index)
            one.Vector = index;
        return one;
    }

    private static Contracts.Locality Places()
    {
        var places = new Contracts.Locality();
        places.Vectors.Add(new VectorPlace { Address = RecordedHost.Vf0, Vector = 0, Irq = 41, Vcpu = 0 });
        places.Vectors.Add(new VectorPlace { Address = RecordedHost.Vf0, Vector = 1, Irq = 42, Vcpu = 1 });
        places.Vectors.Add(new VectorPlace { Address = RecordedHost.Vf0, Vector = 2, Irq = 43 });
        places.Vcpus.Add(new VcpuPlace { Index = 0, Cpus = { 4 } });
        places.Vcpus.Add(new VcpuPlace { Index = 1, Cpus = { 5 } });
        return places;
    }
}
