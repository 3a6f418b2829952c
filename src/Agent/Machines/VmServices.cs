using Exitless.Agent.Events;
using Exitless.Agent.Interrupts;
using Exitless.Agent.Wanted;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Machines;

/// <summary>What all VMs of a host share.</summary>
/// <param name="PfsSettled">Gives a task that ends when the VFs that are wanted have been made.</param>
internal sealed record VmServices(
    VmStarter Starter, VmmLauncher Launcher, DevicePreparer Devices, DeviceClaims Claims, CpuClaims Cpus, VmRecordStore Records, InterruptSwitches Switches, ObservedBoard Board, EventLog Events,
    IVmWatcher Watcher, Func<Task> PfsSettled, TimeProvider Time, ILogger Log);
