using Exitless.Linux;
using Exitless.Vmm.Interrupts;
using Exitless.Vmm.Tests.Vfio;

namespace Exitless.Vmm.Tests.Interrupts;

/// <summary>The switch between an interrupt's best path and injection, with real eventfds and a scripted KVM.</summary>
public sealed class InterruptDetourTests : IDisposable
{
    private const int PatienceMilliseconds = 60_000;
    private readonly ScriptedKvm _kvm = new();
    private readonly EventFd _trigger = new();
    private readonly InterruptDetour _detour;
    private readonly int _gsi;

    public InterruptDetourTests()
    {
        var routes = new GsiRoutes(_kvm);
        _gsi = routes.Allocate();
        Assert.True(routes.TryRoute(_gsi, 0xfee00000, 0x31));
        _detour = new InterruptDetour(_kvm);
    }

    public void Dispose()
    {
        _detour.Dispose();
        _trigger.Dispose();
        Assert.Empty(_kvm.Violations);
        Assert.Empty(_kvm.Irqfds);
    }

    [Fact]
    public void On_the_best_path_the_eventfd_of_VFIO_is_that_of_KVM_and_on_the_other_it_is_not()
    {
        Assert.True(_detour.TryAssignIrqfd(_trigger, _gsi));
        Assert.Same(_trigger, _kvm.Irqfds[_gsi]);
        Assert.True(_detour.TrySwitch(_gsi, detour: true));
        Assert.NotSame(_trigger, _kvm.Irqfds[_gsi]);
        Assert.True(_detour.IsInjected(_gsi));
        Assert.True(_detour.TrySwitchAll(detour: false));
        Assert.Same(_trigger, _kvm.Irqfds[_gsi]);
    }

    [Fact]
    public void Each_interrupt_arrives_once_however_the_switch_is_thrown_around_it()
    {
        Assert.True(_detour.TryAssignIrqfd(_trigger, _gsi));
        for (var i = 1; i <= 500; i++)
        {
            _trigger.Signal();
            Assert.True(_detour.TrySwitch(_gsi, detour: i % 2 == 1));
            // Assigning delivers what had come; else the relay brings it to the irqfd of now.
            if (_kvm.Delivered.GetValueOrDefault(_gsi) < i)
            {
                Assert.True(Poll.IsReadable(_kvm.Irqfds[_gsi].Handle, PatienceMilliseconds), $"interrupt {i} was lost");
                _kvm.Deliver();
            }
            Assert.Equal(i, _kvm.Delivered[_gsi]);
        }
    }

    [Fact]
    public void A_masked_interrupt_stays_in_the_eventfd_of_VFIO_and_comes_when_it_is_unmasked()
    {
        Assert.True(_detour.TrySwitchAll(detour: true));
        Assert.True(_detour.TryAssignIrqfd(_trigger, _gsi));
        Assert.True(_detour.TryDeassignIrqfd(_trigger, _gsi));
        _trigger.Signal();
        Assert.True(_trigger.IsSignalled);
        Assert.True(_detour.TryAssignIrqfd(_trigger, _gsi));
        Assert.True(Poll.IsReadable(_kvm.Irqfds[_gsi].Handle, PatienceMilliseconds));
    }

    [Fact]
    public void An_irqfd_that_KVM_refuses_leaves_the_interrupt_on_its_old_path()
    {
        using var kvm = new RefusingKvm();
        using var detour = new InterruptDetour(kvm);
        Assert.True(detour.TryAssignIrqfd(_trigger, 24));
        kvm.Refuses = true;
        Assert.False(detour.TrySwitch(24, detour: true));
        Assert.Same(_trigger, kvm.Assigned);
    }

    [Fact]
    public void One_vector_keeps_its_own_setting_when_the_others_have_another()
    {
        Assert.True(_detour.TryAssignIrqfd(_trigger, _gsi));
        Assert.True(_detour.TrySwitchAll(detour: true));
        Assert.True(_detour.TrySwitch(_gsi, detour: false));
        Assert.False(_detour.IsInjected(_gsi));
        Assert.Same(_trigger, _kvm.Irqfds[_gsi]);
    }

    [Fact]
    public void With_direct_interrupts_the_whole_VM_is_switched_by_suspending_them_and_one_vector_by_a_way_around()
    {
        var suspensions = new List<bool>();
        using var detour = new InterruptDetour(_kvm, suspend: suspensions.Add);
        Assert.True(detour.TryAssignIrqfd(_trigger, _gsi));
        Assert.True(detour.TrySwitchAll(detour: true));
        Assert.True(detour.TrySwitchAll(detour: true));
        Assert.Equal([true], suspensions);
        Assert.Same(_trigger, _kvm.Irqfds[_gsi]);
        Assert.True(detour.IsInjected(_gsi) && detour.IsInjected(_gsi + 1));

        // One vector back to its best path: direct mode is taken up again, and all others go around it.
        Assert.True(detour.TrySwitch(_gsi + 1, detour: false));
        Assert.Equal([true, false], suspensions);
        Assert.NotSame(_trigger, _kvm.Irqfds[_gsi]);
        Assert.True(detour.IsInjected(_gsi) && !detour.IsInjected(_gsi + 1));

        Assert.True(detour.TrySwitchAll(detour: false));
        Assert.Equal([true, false], suspensions);
        Assert.Same(_trigger, _kvm.Irqfds[_gsi]);
        Assert.True(detour.TrySwitch(_gsi, detour: true));
        Assert.Equal([true, false], suspensions);
        Assert.NotSame(_trigger, _kvm.Irqfds[_gsi]);
    }

    // Takes back what it had, and nothing new.
    private sealed class RefusingKvm : IIrqfds, IDisposable
    {
        private EventFd? _known;

        public bool Refuses { get; set; }

        public EventFd? Assigned { get; private set; }

        public bool TryAssignIrqfd(EventFd trigger, int gsi)
        {
            if (Refuses && trigger != _known)
                return false;
            (Assigned, _known) = (trigger, trigger);
            return true;
        }

        public bool TryDeassignIrqfd(EventFd trigger, int gsi)
        {
            Assigned = null;
            return true;
        }

        public void Dispose() => Assigned = null;
    }
}
