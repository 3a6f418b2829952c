using Exitless.Linux;
using Exitless.Vmm.Boot;
using Exitless.Vmm.Control;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Kvm;
using Exitless.Vmm.Memory;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Tests.Kvm;

/// <summary>
/// A guest of a few instructions on the real /dev/kvm, entered as Linux's 64-bit entry is, with the machine's own buses. Skips the test, saying
/// why, where there is no KVM that runs guests.
/// </summary>
internal sealed class TinyGuest : IDisposable
{
    public const ulong Code = 0x10_0000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly DisposeStack _owned = new();
    private readonly VcpuThread _thread;
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _printed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="code">x86-64 instructions.</param>
    /// <param name="interruptControllers">With them HLT waits in the kernel, without them it leaves the guest.</param>
    /// <param name="probe">A device at ports 0x500 to 0x503.</param>
    /// <param name="attach">Puts devices on the bus.</param>
    public TinyGuest(ReadOnlySpan<byte> code, bool interruptControllers = false, IPortDevice? probe = null, Action<KvmVm, GuestMemory, PciBus, DisposeStack>? attach = null)
    {
        try
        {
            var system = new KvmSystem(_owned.Push(OpenKvm()));
            var vm = _owned.Push(system.CreateVm());
            if (interruptControllers)
                vm.CreateIrqchip();
            Memory = _owned.Push(new GuestMemory(4 << 20));
            Memory.AddTo(vm);
            LongMode.WriteTables(Memory);
            code.CopyTo(Memory.Slice(Code, code.Length));
            Vcpu = _owned.Push(vm.CreateVcpu(0));
            Vcpu.SetCpuid(system.SupportedCpuid());
            LongMode.Enter(Vcpu, Code);

            Console = new ConsoleRing(() => _printed.TrySetResult());
            var pci = new PciBus();
            attach?.Invoke(vm, Memory, pci, _owned);
            var ports = new PortBus();
            ports.Add(0x3F8, SerialPort.Ports, new SerialPort(Console, _owned.Push(new EventFd())));
            ports.Add(PciPorts.First, PciPorts.Count, new PciPorts(pci, new ResetControl(GuestEnd)));
            ports.Add(AcpiSleep.ControlPort, 2, new AcpiSleep(GuestEnd));
            if (probe is not null)
                ports.Add(0x500, 4, probe);
            var gate = new VcpuGate(1, GuestEnd, () => { }, () => { });
            gate.Open();
            _thread = new VcpuThread(0, Vcpu, ports, new MmioBus(pci), GuestEnd, gate, cpu: null, () => _left.TrySetResult());
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    public GuestMemory Memory { get; }

    public KvmVcpu Vcpu { get; }

    public GuestEnd GuestEnd { get; } = new();

    public ConsoleRing Console { get; }

    public void Start() => _thread.Start();

    /// <summary>Waits until the guest has sent a first byte: then it runs.</summary>
    public Task PrintedAsync() => _printed.Task.WaitAsync(Limit);

    public void Kick() => _thread.Kick();

    /// <summary>Waits until the vCPU has left the guest for good.</summary>
    public async Task<(VmEndReason Reason, string Text)> LeftAsync()
    {
        await _left.Task.WaitAsync(Limit);
        return GuestEnd.First!.Value;
    }

    public string Output()
    {
        var bytes = new byte[Console.End];
        long offset = 0;
        Console.Read(ref offset, bytes);
        return System.Text.Encoding.ASCII.GetString(bytes);
    }

    public void Dispose()
    {
        GuestEnd.Ask(VmEndReason.Killed, "The test is over.");
        _thread.Kick();
        _thread.Join();
        _owned.Dispose();
    }

    private static Microsoft.Win32.SafeHandles.SafeFileHandle OpenKvm()
    {
        try
        {
            return Files.Open("/dev/kvm", OpenMode.ReadWrite);
        }
        catch (LinuxException e)
        {
            Assert.Skip($"This machine runs no guests: {e.Message}.");
            throw;
        }
    }
}
