using System.Net;
using System.Net.Sockets;
using Exitless.Agent.Consoles;
using Exitless.Agent.Doctor;
using Exitless.Agent.Events;
using Exitless.Agent.ExitReasons;
using Exitless.Agent.Hangs;
using Exitless.Agent.Identity;
using Exitless.Agent.Interrupts;
using Exitless.Agent.Inventory;
using Exitless.Agent.Link;
using Exitless.Agent.Locality;
using Exitless.Agent.Machines;
using Exitless.Agent.Sriov;
using Exitless.Agent.Storage;
using Exitless.Agent.Telemetry;
using Exitless.Agent.Wanted;
using Exitless.Agent.Watching;
using Exitless.Contracts;
using Exitless.Linux;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent;

/// <summary>The daemon: puts the parts together and runs them until it is told to stop. It stops without touching a VM.</summary>
internal sealed partial class AgentDaemon : IVmWatcher, IAsyncDisposable
{
    private readonly AgentOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly HostRoot _root = HostRoot.Machine;
    private readonly CertificateStore _store;
    private readonly ServerChannel _channels;
    private readonly Enroller _enroller;
    private readonly AsyncSignal _signal = new();
    private readonly EventLog _events;
    private readonly WantedStore _wanted;
    private readonly LatestSource<Contracts.Inventory> _inventorySource;
    private readonly LatestSource<DoctorReport> _reportSource;
    private readonly LatestSource<ObservedState> _observedSource;
    private readonly LatestSource<ForeignVms> _foreignSource;
    private readonly ForeignFeed _foreign;
    private readonly InventoryFeed _inventory;
    private readonly DoctorFeed _doctor;
    private readonly ObservedBoard _board;
    private readonly PfConverger _pfs;
    private readonly SampleFeed _samples;
    private readonly Sampler _sampler;
    private readonly ConsoleRelay _consoles;
    private readonly VmFleet _vms;
    private IReadOnlyList<IPAddress> _controlPlane = [];

    public AgentDaemon(AgentOptions options, TimeProvider time, ILoggerFactory logs)
    {
        DescriptorLimit.Raise();
        var netlink = new KernelRtnetlink();
        (_options, _time, _log) = (options, time, logs.CreateLogger("agent"));
        AtomicFile.CreateFolder(options.StateFolder);
        _store = new CertificateStore(options.StateFolder);
        _channels = new ServerChannel(time);
        _enroller = new Enroller(_store, _channels, _root);
        _events = new EventLog(_signal, time);
        _wanted = new WantedStore(options.StateFolder);
        _inventorySource = new LatestSource<Contracts.Inventory>(_signal, i => new AgentMessage { Inventory = i });
        _reportSource = new LatestSource<DoctorReport>(_signal, r => new AgentMessage { Report = r });
        _observedSource = new LatestSource<ObservedState>(_signal, o => new AgentMessage { Observed = o });
        _foreignSource = new LatestSource<ForeignVms>(_signal, f => new AgentMessage { Foreign = f });
        // Our own are told in more detail.
        var watch = new Watch(_root, passedOver: process => _vms!.AllRunning().Any(vm => vm.Vm.ProcessId == process), longestPause: 3, ratioSamples: 1);
        _foreign = new ForeignFeed(watch, _foreignSource, time);
        var (claims, cpus) = (new DeviceClaims(), new CpuClaims());
        var uses = new DeviceUseReader(_root, netlink, () => _controlPlane, () => claims.Addresses);
        var images = new ImageFolder(Path.Combine(options.StateFolder, "images"));
        _inventory = new InventoryFeed(new InventoryReader(_root, images, uses, new VfMacReader(_root, netlink), new PciNames(_root)), _inventorySource, time);
        _doctor = new DoctorFeed(new HostDoctor(_root, Path.GetFullPath(options.StateFolder)), _reportSource, _events, options.StateFolder, time);
        _board = new ObservedBoard(_observedSource);
        _pfs = new PfConverger(new VfProvisioner(_root, netlink, claims, uses, _events, time), _board, _inventory.Poke, _log);
        _samples = new SampleFeed(_signal, time);
        _sampler = new Sampler(_samples, _root, _events, time, _log, () => new ReasonRule(options.ReasonsAbove, options.ReasonsSeconds));
        _consoles = new ConsoleRelay(id => _vms!.Running(id), _signal);
        var launcher = new VmmLauncher(VmmLauncher.ProgramBeside(Environment.ProcessPath!), options.RunFolder, _root, time);
        var devices = new DevicePreparer(new VfMac(_root, netlink), new VfioBinding(_root), _events, _inventory.Poke);
        var preflight = new Preflight(_root, images, claims, uses, new VfMacReader(_root, netlink));
        _vms = new VmFleet(
            new VmServices(
                new VmStarter(preflight, claims, cpus, devices, launcher, _root, options.Vfio), launcher, devices, claims, cpus, new VmRecordStore(options.StateFolder), new InterruptSwitches(_root), _board, _events,
                this, () => _pfs.Settled, time, _log),
            HostFacts.BootId(_root));
    }

    public async Task RunAsync(CancellationToken stop)
    {
        // Before any VM starts: what a kernel or firmware update has changed is said before it makes a start fail.
        _doctor.Look();
        ExitTrace.CleanUp(_root);
        await _vms.AdoptAsync(stop);
        _board.Open();
        if (_wanted.Load() is { } stored)
            Apply(stored);
        var samples = _sampler.RunAsync(stop);
        var inventory = _inventory.RunAsync(stop);
        var doctor = _doctor.RunAsync(stop);
        var locality = new LocalityFeed(_vms, new LocalityReader(_root), _board, _time).RunAsync(stop);
        var foreign = _foreign.RunAsync(stop);
        var hangs = new HangWatch(_vms.AllRunning, _sampler, _board, _events, _options.HangSeconds, _time).RunAsync(stop);
        var link = LinkAsync(stop);
        // None ends by itself; one that fails takes the agent down, and the service manager starts it again.
        await await Task.WhenAny(inventory, doctor, locality, samples, foreign, hangs, link);
    }

    /// <summary>Lets go of everything; VMs run on.</summary>
    public async ValueTask DisposeAsync()
    {
        await _vms.DisposeAsync();
        _sampler.Dispose();
        _foreign.Dispose();
    }

    async Task IVmWatcher.StartedAsync(WantedVm vm, RunningVm running)
    {
        await _sampler.StartedAsync(vm, running);
        _consoles.Started(vm.VmId);
    }

    void IVmWatcher.Ended(string vmId) => _sampler.Ended(vmId);

    void IVmWatcher.Removed(string vmId)
    {
        _sampler.Removed(vmId);
        _consoles.Removed(vmId);
    }

    private async Task LinkAsync(CancellationToken stop)
    {
        if (!_store.IsEnrolled)
        {
            if (_options is not { Server: { } at, Token: { } token, AuthorityFingerprint: { } fingerprint })
                throw new AgentException("This host is not enrolled.", "Run: exitless-agent enrol --server … --token … --authority-fingerprint …, or give run the same options.");
            await _enroller.EnrolAsync(at, token, fingerprint, stop);
            Enrolled(_log, at);
        }
        var server = _options.Server ?? _store.Server!;
        _controlPlane = await ResolveAsync(server, stop);
        _inventory.Poke();
        await new ControlLink(
            _store, _channels, _enroller, _root, server, _signal, [_observedSource, _inventorySource, _reportSource, _foreignSource, _events, _consoles, _samples], _wanted, Receive, _time, _log).RunAsync(stop);
    }

    private void Receive(ControlMessage message)
    {
        switch (message.BodyCase)
        {
            case ControlMessage.BodyOneofCase.Wanted:
                if (_wanted.Save(message.Wanted))
                    Apply(message.Wanted);
                else
                    OldWanted(_log, message.Wanted.Generation, _wanted.Generation);
                break;
            case ControlMessage.BodyOneofCase.Watch:
                _samples.Watch(message.Watch);
                break;
            case ControlMessage.BodyOneofCase.Ack:
                _samples.Acknowledge(message.Ack);
                break;
            case ControlMessage.BodyOneofCase.Acks:
                foreach (var ack in message.Acks.Acks)
                    _samples.Acknowledge(ack);
                break;
            case ControlMessage.BodyOneofCase.ConsoleAttach:
                _consoles.Attach(message.ConsoleAttach);
                break;
            case ControlMessage.BodyOneofCase.ConsoleInput:
                _consoles.Type(message.ConsoleInput);
                break;
            case ControlMessage.BodyOneofCase.ConsoleDetach:
                _consoles.Detach(message.ConsoleDetach.VmId);
                break;
            default:
                break;   // of a newer control plane
        }
    }

    private void Apply(WantedState wanted)
    {
        _pfs.Apply(wanted.Pfs);
        _vms.Apply(wanted.Vms);
        _board.Reached(wanted.Generation);
    }

    private static async Task<IReadOnlyList<IPAddress>> ResolveAsync(Uri server, CancellationToken stop)
    {
        try
        {
            return await Dns.GetHostAddressesAsync(server.IdnHost, stop);
        }
        catch (SocketException)
        {
            return [];   // the link says so
        }
    }

    [LoggerMessage(30, LogLevel.Information, "Enrolled at {Server}")]
    private static partial void Enrolled(ILogger log, Uri server);

    [LoggerMessage(31, LogLevel.Warning, "The control plane sent wanted state {Generation}, older than {Stored}, which stays")]
    private static partial void OldWanted(ILogger log, ulong generation, ulong stored);
}
