using Exitless.Agent.Sriov;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Agent.Machines;

/// <summary>Starts one VM step by step. A step that fails takes back all steps before it.</summary>
internal sealed class VmStarter(Preflight preflight, DeviceClaims claims, DevicePreparer devices, VmmLauncher launcher, HostRoot root)
{
    /// <param name="onPlanned">Called with what will have to be given back, before the first device is touched.</param>
    /// <param name="onProcess">Called with the process as soon as there is one.</param>
    /// <exception cref="ProblemException">It could not be started; nothing is left of the attempt.</exception>
    public async Task<RunningVm> StartAsync(
        Contracts.WantedVm vm, StepList steps, Action<IReadOnlyList<BoundDevice>> onPlanned, Action<int> onProcess, CancellationToken stop)
    {
        LaunchPlan plan = null!;
        await steps.RunAsync("Check the host, the image and the devices", () =>
        {
            plan = preflight.Check(vm);
            return $"{vm.Kernel}, {vm.MemoryMib} MiB, {plan.Devices.Count} device(s)";
        });
        Claim(vm, plan);
        IReadOnlyList<BoundDevice> touched = [];
        RunningVm? process = null;
        try
        {
            onPlanned(DevicePreparer.Record(plan));
            touched = DevicePreparer.Record(plan);
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
                using var descriptors = Open(plan);
                await process!.Client.LaunchAsync(ConfigOf(plan), descriptors, stop);
                process.Watch();
                return "";
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
            devices.Release(touched, vm.VmId);
            claims.Release(vm.VmId);
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

    // What needs privilege is opened here and passed on; the VM's process opens nothing.
    private VmmDescriptors Open(LaunchPlan plan)
    {
        var opened = new List<SafeFileHandle>();
        try
        {
            SafeFileHandle Add(string path, OpenMode mode)
            {
                opened.Add(Files.Open(path, mode));
                return opened[^1];
            }
            var groups = plan.Devices.Select(d => d.Group).Distinct().ToArray();
            return new VmmDescriptors
            {
                Kvm = Add(root.Dev("kvm"), OpenMode.ReadWrite),
                Kernel = Add(plan.KernelPath, OpenMode.Read),
                Initrd = plan.InitrdPath is { } initrd ? Add(initrd, OpenMode.Read) : null,
                VfioContainer = groups.Length > 0 ? Add(root.Dev("vfio/vfio"), OpenMode.ReadWrite) : null,
                Groups = [.. groups.Select(g => OpenGroup(g, Add))],
            };
        }
        catch
        {
            foreach (var handle in opened)
                handle.Dispose();
            throw;
        }
    }

    private SafeFileHandle OpenGroup(int group, Func<string, OpenMode, SafeFileHandle> open)
    {
        try
        {
            return open(root.Dev($"vfio/{group}"), OpenMode.ReadWrite);
        }
        catch (LinuxException e) when (e.Errno == Errno.Busy)
        {
            throw new ProblemException(
                "device-in-use", "The IOMMU group is in use", $"Another program holds /dev/vfio/{group} open.", "End that program (look with: fuser /dev/vfio/*), or choose another device.", "devices", e);
        }
    }

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
    };
}
