using System.Globalization;
using Exitless.Contracts;
using Google.Protobuf;

namespace Exitless.Agent.Tests.Booted;

[Trait("Category", "Lab")]
public sealed class LabTests(LabAgent lab)
{
    [Fact]
    public async Task The_inventory_shows_the_emulated_host()
    {
        await lab.BootAsync();
        var inventory = lab.Inventory;
        Assert.All(inventory.Capabilities, c => Assert.True(c.Present, $"{c.Name}: {c.Detail}"));
        Assert.Equal("AuthenticAMD", inventory.CpuVendor);
        var pf = inventory.Devices.Single(d => d.Address == LabAgent.Pf);
        Assert.Equal((0x8086u, 0x10c9u, 7u, "igb"), (pf.VendorId, pf.DeviceId, pf.SriovTotalVfs, pf.Driver));
        Assert.Contains(inventory.Images, i => i is { Name: "debian.vmlinuz", Kind: "kernel" });
        var management = inventory.Devices.Single(d => d.NetInterfaces.Contains("eth0"));
        await lab.WaitAsync("the route to the control plane", () => lab.Inventory.Devices.Single(d => d.Address == management.Address).InUse.Contains("control plane"));
    }

    [Fact]
    public async Task VFs_are_made_with_groups_and_without_the_hosts_driver()
    {
        await lab.HaveVfsAsync();
        var pf = lab.Pf1;
        Assert.True(pf.Converged, pf.Problem?.Detail);
        Assert.All(pf.Steps, s => Assert.Equal(StepState.Done, s.State));
        Assert.Equal("0", await lab.ShellAsync($"cat /sys/bus/pci/devices/{LabAgent.Pf}/sriov_drivers_autoprobe"));
        Assert.NotEqual(lab.Vf(0).IommuGroup, lab.Vf(1).IommuGroup);
        Assert.Equal("", lab.Vf(1).Mac);   // igb gives none, and the VF's driver makes one up
        Assert.Equal("", lab.Vf(1).Driver);
    }

    [Fact]
    public async Task A_VM_owns_its_VF_with_its_MAC_and_tells_every_step()
    {
        var vm = await lab.HaveRunningVmAsync();
        Assert.True(vm.State == VmState.Running, vm.Problem?.ToString());
        Assert.All(vm.Steps, s => Assert.Equal(StepState.Done, s.State));
        await lab.WaitAsync("the VF's driver and MAC", () => lab.Vf(0) is { Driver: "vfio-pci", Mac: LabAgent.Mac });
        Assert.Equal("0::/exitless/" + LabAgent.VmId, await lab.ShellAsync($"cat /proc/{vm.ProcessId}/cgroup"));
        Assert.Equal("1", await lab.ShellAsync($"awk '{{ print $4 }}' /proc/{vm.ProcessId}/stat | sed 's/^[0-9]*$/1/'"));
        Assert.Contains(lab.Events, e => e.Kind == "device-bound" && e.Device == lab.Vf(0).Address);
    }

    [Fact]
    public async Task A_vCPU_is_alone_on_an_isolated_CPU_and_the_hosts_interrupts_stay_away()
    {
        var vm = await lab.HaveRunningVmAsync();
        Assert.Equal("1", await lab.ShellAsync($"for t in /proc/{vm.ProcessId}/task/*; do grep -q '^vcpu 0' $t/comm && awk '/^Cpus_allowed_list/ {{ print $2 }}' $t/status; done; true"));
        Assert.Equal("1", await lab.ShellAsync("cat /proc/irq/default_smp_affinity"));
        // The VF's own host vectors came after the start, when the guest's driver began.
        await lab.ShellAsync($"for i in $(seq 600); do grep -q 'vfio-msix.*{lab.Vf(0).Address}' /proc/interrupts && exit 0; usleep 100000; done; exit 1");
        Assert.Equal("0", await lab.ShellAsync($"cat $(awk -F: '/vfio-msix.*{lab.Vf(0).Address}/ {{ gsub(\" \", \"\", $1); print \"/proc/irq/\" $1 \"/smp_affinity_list\" }}' /proc/interrupts) | sort -u"));
        // A guest that may halt its CPU itself does not exit for it. KVM names the folder of the only VM by the thread that made it.
        Assert.Equal("0", await lab.ShellAsync($"grep -q debugfs /proc/mounts || mount -t debugfs none /sys/kernel/debug; cat /sys/kernel/debug/kvm/*-*/halt_exits"));
    }

    [Fact]
    public async Task The_console_comes_from_its_beginning_and_takes_input()
    {
        await lab.HaveRunningVmAsync();
        await lab.SendAsync(new ControlMessage { ConsoleAttach = new ConsoleAttach { VmId = LabAgent.VmId } });
        await lab.WaitAsync("the guest's greeting", () => lab.Console.Contains("exitless: ready"));
        await lab.SendAsync(new ControlMessage { ConsoleInput = new ConsoleInput { VmId = LabAgent.VmId, Data = ByteString.CopyFromUtf8("echo typed-$((40 + 2))\n") } });
        await lab.WaitAsync("the guest's answer", () => lab.Console.Contains("typed-42"));
    }

    [Fact]
    public async Task Counters_of_KVM_and_of_the_VFs_vectors_rise_and_agree_with_the_host()
    {
        await lab.HaveRunningVmAsync();
        var rx = $"vfio.{lab.Vf(0).Address}.msix.";
        await lab.SendAsync(new ControlMessage { Watch = new WatchVm { VmId = LabAgent.VmId, On = true, BackfillSeconds = 900 } });
        await lab.WaitAsync("interrupts in live rows", () => lab.Samples(RowKind.Live).Any(s => s.Key.StartsWith(rx) && s.Value > 20));
        // The first live row may have shown the interrupts already.
        await lab.WaitAsync("exits that rise from one live row to a later one", () =>
            lab.Samples(RowKind.Live).Where(s => s.Key == "kvm.vcpu.0.exits").Select(s => s.Value).ToArray() is { Length: > 1 } exits && exits[^1] > exits[0]);
        await lab.WaitAsync("a stored row", () => lab.Samples(RowKind.Stored).Any(s => s.Key.StartsWith(rx) && s.Value > 0));

        var before = lab.Samples(RowKind.Live).Where(s => s.Key == rx + "0").Max(s => s.Value);
        var line = await lab.ShellAsync($"awk '/vfio-msix\\[0\\]\\({lab.Vf(0).Address}\\)/ {{ print $2 + $3 }}' /proc/interrupts");
        var host = long.Parse(line, CultureInfo.InvariantCulture);
        await lab.WaitAsync("the host's count", () => lab.Samples(RowKind.Live).Any(s => s.Key == rx + "0" && s.Value >= host));
        Assert.InRange(host, before, long.MaxValue);

        lab.ForgetRows();
        await lab.SendAsync(new ControlMessage { Watch = new WatchVm { VmId = LabAgent.VmId, On = true, BackfillSeconds = 900 } });
        // Live rows of the first watch may still come before the back-fill of the second.
        await lab.WaitAsync("live rows after the back-fill", () => lab.Samples(RowKind.Backfill) is { Count: > 0 } old && lab.Samples(RowKind.Live).Any(s => s.Time > old[^1].Time));
        var backfill = lab.Samples(RowKind.Backfill).Select(s => s.Time).ToArray();
        Assert.Equal(backfill.Order(), backfill);
    }

    [Fact]
    public async Task A_killed_agent_finds_its_VM_again()
    {
        var vm = await lab.HaveRunningVmAsync();
        var streams = lab.Streams;
        await lab.ShellAsync("kill -9 $(cat /run/lab/agent.pid)");
        await lab.WaitAsync("a new stream", () => lab.Streams > streams);
        await lab.WaitAsync("adoption", () => lab.Events.Any(e => e.Kind == "vm-adopted"));
        await lab.WaitAsync("the VM", () => lab.Vm(LabAgent.VmId) is { State: VmState.Running });
        Assert.Equal(vm.ProcessId, lab.Vm(LabAgent.VmId)!.ProcessId);
        lab.ForgetRows();
        await lab.WaitAsync("samples after it", () => lab.Samples(RowKind.Stored).Count > 0);
    }

    [Fact]
    public async Task The_VF_of_a_running_VM_is_nobody_elses()
    {
        await lab.HaveRunningVmAsync();
        const string Second = "0198b6b2-0000-7000-8000-0000000000a2";
        var generation = 1000ul;
        await lab.WantAsync(w =>
        {
            LabAgent.Put(w, new WantedVm
            {
                VmId = Second,
                Generation = generation,
                Name = "second",
                Vcpus = 1,
                MemoryMib = 256,
                Kernel = "debian.vmlinuz",
                Run = WantedRun.Running,
                Devices = { new WantedDevice { Address = lab.Vf(0).Address } },
            });
            w.Pfs.Single().Generation = generation;
            w.Pfs.Single().NumVfs = 3;
        });
        await lab.WaitAsync("the refusal", () => lab.Vm(Second)?.State == VmState.Failed);
        Assert.Equal("device-owned-by-vm", lab.Vm(Second)!.Problem.Code);
        Assert.Contains("pinger", lab.Vm(Second)!.Problem.Detail);
        await lab.WaitAsync("the PF's refusal", () => lab.Observed.Pfs.Single().Generation == generation);
        Assert.Equal("vf-in-use", lab.Observed.Pfs.Single().Problem.Code);
        Assert.Equal("2", await lab.ShellAsync($"cat /sys/bus/pci/devices/{LabAgent.Pf}/sriov_numvfs"));
    }

    [Fact]
    public async Task A_stopped_VM_gives_its_VF_back_as_it_was()
    {
        var vm = await lab.HaveRunningVmAsync();
        await lab.WantAsync(w =>
        {
            var wanted = w.Vms.Single(v => v.VmId == LabAgent.VmId);
            (wanted.Run, wanted.Generation) = (WantedRun.Stopped, wanted.Generation + 1);
        });
        await lab.WaitAsync("the end", () => lab.Vm(LabAgent.VmId)!.State == VmState.Stopped);
        await lab.WaitAsync("the VF as it was", () => lab.Vf(0) is { Driver: "", Mac: "", InUse: "" });
        Assert.Equal("(null)", await lab.ShellAsync($"cat /sys/bus/pci/devices/{lab.Vf(0).Address}/driver_override"));
        Assert.Equal("", await lab.ShellAsync("find /sys/fs/cgroup/exitless -mindepth 1 -type d"));
        // By its id: the shell that looks has the socket's name on its own command line. An adopted process is the host's init's to reap, which takes a moment.
        Assert.Equal("gone", await lab.ShellAsync($"for i in $(seq 300); do [ -e /proc/{vm.ProcessId} ] || {{ echo gone; exit; }}; usleep 100000; done; cat /proc/{vm.ProcessId}/status"));
    }

    [Fact]
    public async Task An_image_that_is_no_kernel_leaves_nothing_behind()
    {
        await lab.HaveVfsAsync();
        const string Broken = "0198b6b2-0000-7000-8000-0000000000a3";
        // A header that is right, and nothing after it: only the VMM finds out.
        await lab.ShellAsync("head -c 2048 /var/lib/exitless/images/debian.vmlinuz >/var/lib/exitless/images/short.vmlinuz");
        var vf = lab.Vf(1).Address;
        await lab.WantAsync(w => LabAgent.Put(w, new WantedVm
        {
            VmId = Broken,
            Generation = 1,
            Name = "broken",
            Vcpus = 1,
            MemoryMib = 256,
            Kernel = "short.vmlinuz",
            Run = WantedRun.Running,
            Devices = { new WantedDevice { Address = vf, Mac = "52:54:00:aa:00:03" } },
        }));
        await lab.WaitAsync("the refusal", () => lab.Vm(Broken)?.State == VmState.Failed);
        var vm = lab.Vm(Broken)!;
        Assert.Equal("kernel", vm.Problem.Field);
        Assert.Equal(StepState.Failed, vm.Steps[^1].State);
        await lab.WaitAsync("the VF as it was", () => lab.Vf(1) is { Driver: "", Mac: "", InUse: "" });
        Assert.Equal("no", await lab.ShellAsync($"[ -e /run/exitless/vms/{Broken}/vmm.sock ] && echo yes || echo no"));
    }
}
