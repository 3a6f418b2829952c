using System.Text.Json;
using Exitless.Vmm.Devices;
using Exitless.Vmm.Sandbox;

namespace Exitless.Vmm.Control;

/// <summary>Answers what clients ask, one frame after another.</summary>
internal sealed class ControlRequests(VmLife vm, ControlConnections connections, EventFeed feed, DeviceRequests devices, Action<ControlConnection, uint> end)
{
    /// <summary>Serves one request; what goes wrong is its answer.</summary>
    public void Serve(ControlConnection connection, Frame frame)
    {
        try
        {
            Answer(connection, frame);
        }
        catch (VmmProblemException problem)
        {
            frame.CloseDescriptors();
            connections.Refuse(connection, frame.RequestId, problem);
        }
        catch (Exception e)
        {
            frame.CloseDescriptors();
            connections.Refuse(connection, frame.RequestId, new VmmProblemException("vmm-failed", "The VM's process could not do that.", e.Message, "See the log of the VM's process.", innerException: e));
        }
    }

    private void Answer(ControlConnection connection, Frame frame)
    {
        if (frame.Kind is not (FrameKind.Launch or FrameKind.AttachDevices) && frame.Descriptors.Count > 0)
            throw new VmmProblemException("vmm-protocol", "Descriptors came with a request that takes none.", $"The request was {frame.Kind}.", "Update the agent.");
        switch (frame.Kind)
        {
            case FrameKind.Launch:
                vm.Launch(connection, frame);
                break;
            case FrameKind.TakeStatistics:
                var machine = vm.Running;
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId, default, [machine.VmStatistics, .. machine.VcpuStatistics]));
                break;
            case FrameKind.PowerButton:
                vm.Running.PressPowerButton();
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.Pause:
                vm.Running.Pause();
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.Resume:
                vm.Running.Resume();
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.End:
                end(connection, frame.RequestId);
                break;
            case FrameKind.WriteConsole:
                WriteConsole(frame);
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
                break;
            case FrameKind.Subscribe:
                feed.Subscribe(connection, frame, vm.End);
                break;
            case FrameKind.TakeVectors:
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId, JsonSerializer.SerializeToUtf8Bytes(vm.Running.TakeVectors(), ControlJson.Default.ListDeviceVectors)));
                break;
            case FrameKind.TakeResources:
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId, JsonSerializer.SerializeToUtf8Bytes(vm.Resources, ControlJson.Default.VmmResources)));
                break;
            case FrameKind.Look:
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId, JsonSerializer.SerializeToUtf8Bytes(vm.Running.Look(), ControlJson.Default.ListVcpuLook)));
                break;
            case FrameKind.TrySandbox:
                connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId, JsonSerializer.SerializeToUtf8Bytes(SandboxProbe.Run(), ControlJson.Default.ListSandboxAttempt)));
                break;
            case FrameKind.AttachDevices:
                devices.Attach(connection, frame);
                break;
            case FrameKind.DetachDevice:
                devices.Detach(connection, frame);
                break;
            case FrameKind.SwitchInterrupts:
                devices.Switch(connection, frame);
                break;
            default:
                throw new VmmProblemException("vmm-protocol", "The VM's process does not know this request.", $"It was number {(int)frame.Kind}.", "Restart the VM, so that it runs on the agent's version.");
        }
    }

    private void WriteConsole(Frame frame)
    {
        if (!vm.Running.TryWriteConsole(frame.Payload.Span))
        {
            throw new VmmProblemException("console-input-full", "The guest does not read its console.",
                $"{frame.Payload.Length} more bytes would exceed the {SerialPort.InputCapacity} that wait already or may wait.", "Wait until the guest reads, or reset it.");
        }
    }
}
