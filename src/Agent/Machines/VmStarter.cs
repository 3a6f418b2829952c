using Exitless.Agent.Interrupts;
using Exitless.Agent.Sriov;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Machines;

/// <summary>Starts one VM step by step. A step that fails takes back all steps before it.</summary>
internal sealed class VmStarter(Preflight preflight, DeviceClaims claims, CpuClaims cpus, DevicePreparer devices, VmmLauncher launcher, HostRoot root, VfioInterface vfio = VfioInterface.Auto)
{
    /// <param name="onPlanned">Called with what will have to be given back, before the first device is touched.</param>
    /// <param name="onProcess">Called with the process as soon as there is one.</param>
    /// <exception cref="ProblemException">It could not be started; nothing is left of the attempt.</exception>
    public Task<RunningVm> StartAsync(
        Contracts.WantedVm vm, StepList steps, Action<IReadOnlyList<BoundDevice>, IReadOnlyList<int>> onPlanned, Action<int> onProcess, CancellationToken stop) =>
        StartAsync(vm, () => Plan(vm), ConfigOf, steps, onPlanned, onProcess, stop);

    /// <summary>As <see cref="StartAsync(Contracts.WantedVm, StepList, Action{IReadOnlyList{BoundDevice}, IReadOnlyList{int}}, Action{int}, CancellationToken)"/>, with a plan and a launch of the caller's making.</summary>
    /// <param name="check">Checks everything and touches nothing.</param>
    /// <param name="configOf">What is launched in the end.</param>
    /// <exception cref="ProblemException">It could not be started; nothing is left of the attempt.</exception>
    public async Task<RunningVm> StartAsync(
        Contracts.WantedVm vm, Func<LaunchPlan> check, Func<LaunchPlan, VmConfig> configOf, StepList steps, Action<IReadOnlyList<BoundDevice>, IReadOnlyList<int>> onPlanned,
        Action<int> onProcess, CancellationToken stop)
    {
        LaunchPlan plan = null!;
        await steps.RunAsync("Check the host, the image and the devices", () =>
        {
            plan = check();
            return $"{(plan.KernelPath.Length > 0 ? Path.GetFileName(plan.KernelPath) : "kernel of the disk")}, {vm.MemoryMib} MiB, {plan.Devices.Count} device(s)";
        });
        Claim(vm, plan);
        IReadOnlyList<BoundDevice> touched = [];
        RunningVm? process = null;
        try
        {
            if (plan.Interrupts is { } path)
            {
                var own = cpus.Take(vm.VmId, path.Candidates, (int)vm.Vcpus);
                plan = plan with { Cpus = own, Interrupts = path.For(own, (int)vm.Vcpus) };
            }
            onPlanned(DevicePreparer.Record(plan), plan.Cpus);
            touched = DevicePreparer.Record(plan);
            if (plan.Interrupts is not null)
                await steps.RunAsync("Set up the interrupts' path", () => SetUpPath(plan, root));
            foreach (var device in plan.Devices)
            {
                if (device.Mac is not null)
                    await steps.RunAsync($"Set the MAC of {device.Function.Address}", () => devices.SetMac(device, vm.VmId));
                await steps.RunAsync($"Bind {device.Function.Address} to vfio-pci", () => devices.Bind(device, vm.VmId));
            }
            await steps.RunAsync("Start the VM's process", async () =>
            {
                process = await launcher.StartAsync(vm.VmId, stop);
                onProcess(process.ProcessId);
                return $"process {process.ProcessId}";
            });
            await steps.RunAsync("Map memory and run", async () =>
            {
                using var descriptors = LaunchDescriptors.Open(plan, root, vfio);
                var iommufd = descriptors.Iommufd is not null;
                await process!.Client.LaunchAsync(configOf(plan) with { Iommufd = iommufd }, descriptors, stop);
                process.Watch();
                return plan.Devices.Count == 0 ? "" : iommufd ? "devices by iommufd" : "devices by their groups";
            });
            return process!;
        }
        catch (Exception e)
        {
            if (process is not null)
            {
                await process.EndAsync();
                await process.DisposeAsync();
            }
            launcher.Forget(vm.VmId);
            plan.Vsock?.Remove();
            devices.Release(touched, vm.VmId);
            claims.Release(vm.VmId);
            cpus.Release(vm.VmId);
            if (e is VmmProblemException refused)
                throw new ProblemException(refused.Code, refused.Title, refused.Detail, refused.Remedy, refused.Field, refused);
            if (e is IOException or UnauthorizedAccessException)
                throw new ProblemException(
                    "start-failed", "The VM could not be started", e.Message, "The agent's log and the host's kernel log say more; then try again.", "", e);
            throw;
        }
    }

    private void Claim(Contracts.WantedVm vm, LaunchPlan plan)
    {
        if (claims.Take(vm.VmId, vm.Name, [.. plan.Devices.Select(d => d.Function.Address)]) is { } taken)
            throw new ProblemException(
                "device-owned-by-vm", "The device belongs to another VM", $"{taken.Address} belongs to the VM {taken.VmName}.", $"Stop {taken.VmName}, or choose another device.",
                plan.Devices.First(d => string.Equals(d.Function.Address, taken.Address, StringComparison.Ordinal)).Field + ".address");
    }

    // A vsock is another device that a guest can reach: it is there for the guest's reporter alone.
    private LaunchPlan Plan(Contracts.WantedVm vm) => preflight.Check(vm) with { Vsock = vm.GuestCounts ? new PlannedVsock(launcher.VsockOf(vm.VmId)) : null };

    private VmConfig ConfigOf(LaunchPlan plan) => new()
    {
        VmId = Guid.Parse(plan.Vm.VmId),
        Name = plan.Vm.Name,
        Vcpus = (int)plan.Vm.Vcpus,
        MemoryBytes = (long)plan.Vm.MemoryMib << 20,
        CommandLine = plan.Vm.CommandLine,
        ConsoleLogPath = launcher.ConsoleLogOf(plan.Vm.VmId),
        HasInitrd = plan.InitrdPath is not null,
        Devices = [.. plan.Devices.Select(d => new VfioDeviceConfig(d.Function.Address, d.Group))],
        Memory = plan.Interrupts?.Memory,
        VcpuCpus = plan.Cpus,
        Interrupts = plan.Interrupts?.Settings ?? new VmInterrupts(),
        Vsock = plan.Vsock is null ? null : new VsockConfig { Cid = VsockConfig.FirstCid },
    };

    // In the words of the operation's step.
    private static string SetUpPath(LaunchPlan plan, HostRoot root)
    {
        var path = plan.Interrupts!;
        var words = new List<string> { plan.Devices.Count == 0 ? "no device" : path.Path == InterruptPlan.Direct ? "direct (ELI)" : path.Path };
        if (path.Settings.HideX2Apic)
            words.Add("xAPIC");
        if (path.Memory is { } memory)
            words.Add($"pages of {memory.PageBytes >> 20} MiB");
        if (plan.Cpus.Count > 0)
        {
            var (moved, stuck) = InterruptSteering.KeepAway(root, plan.Cpus);
            words.Add($"vCPUs alone on CPUs {string.Join(", ", plan.Cpus)}, {moved} of the host's interrupts moved away, {stuck} cannot be");
        }
        else
        {
            words.Add("vCPUs on shared CPUs");
        }
        return string.Join("; ", words);
    }
}
