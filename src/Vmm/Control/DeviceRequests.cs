using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Control;

/// <summary>Devices to plug into a running VM, as they travel. The descriptors follow in this order: the container, if any, the groups, iommufd, if any, and a file of each device that comes by it.</summary>
internal sealed record AttachRequest(IReadOnlyList<VfioDeviceConfig> Devices, bool HasContainer, IReadOnlyList<int> Groups)
{
    public bool HasIommufd { get; init; }

    /// <summary>The addresses of devices whose own files come; none from an agent of protocol 1.</summary>
    public IReadOnlyList<string> Cdevs { get => field ?? []; init; }
}

/// <summary>A device to take out of a running VM.</summary>
internal sealed record DetachRequest(string Address, long LimitMilliseconds);

/// <summary>Answers what clients ask about devices. Both take their time, so the work is done elsewhere and the answer sent later, by the control thread.</summary>
internal sealed class DeviceRequests(VmLife vm, ControlConnections connections, Action wake)
{
    private static readonly TimeSpan MostPatience = TimeSpan.FromHours(1);

    private readonly ConcurrentQueue<(ControlConnection Connection, uint Request, VmmProblemException? Problem)> _answers = new();

    /// <summary>Plugs devices in; the frame's descriptors go over unless this throws.</summary>
    public void Attach(ControlConnection connection, Frame frame)
    {
        var request = JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.AttachRequest)!;
        var devices = Devices();
        var descriptors = Sort(request, frame.Descriptors);
        new Thread(() => Answer(connection, frame.RequestId, Run(devices, request.Devices, descriptors))) { IsBackground = true, Name = "attach" }.Start();
    }

    /// <summary>Takes a device out; the answer comes when it is released.</summary>
    public void Detach(ControlConnection connection, Frame frame)
    {
        var request = JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.DetachRequest)!;
        var limit = TimeSpan.FromMilliseconds(Math.Clamp(request.LimitMilliseconds, 0, (long)MostPatience.TotalMilliseconds));
        Devices().Detach(request.Address, limit, () => Answer(connection, frame.RequestId, null));
    }

    /// <summary>Throws the switch of interrupts.</summary>
    public void Switch(ControlConnection connection, Frame frame)
    {
        Devices().Switch(JsonSerializer.Deserialize(frame.Payload.Span, ControlJson.Default.SwitchRequest)!);
        connections.Send(connection, new Frame(FrameKind.Reply, frame.RequestId));
    }

    /// <summary>Sends the answers that have become ready.</summary>
    public void SendAnswers()
    {
        while (_answers.TryDequeue(out var answer))
        {
            if (answer.Problem is { } problem)
                connections.Refuse(answer.Connection, answer.Request, problem);
            else
                connections.Send(answer.Connection, new Frame(FrameKind.Reply, answer.Request));
        }
    }

    private IMachineDevices Devices() => vm.Running.Devices
        ?? throw new VmmProblemException("device-hotplug-unsupported", "This VM cannot have devices.", "Its machine has no bus for them.", "Launch a VM that has.");

    private void Answer(ControlConnection connection, uint request, VmmProblemException? problem)
    {
        _answers.Enqueue((connection, request, problem));
        try
        {
            wake();
        }
        catch (ObjectDisposedException)
        {
            // The process is leaving, and its clients see that.
        }
    }

    private static VmmProblemException? Run(IMachineDevices machine, IReadOnlyList<VfioDeviceConfig> devices, DeviceDescriptors descriptors)
    {
        try
        {
            machine.Attach(devices, descriptors);
            return null;
        }
        catch (Exception e)
        {
            // Whatever went wrong must reach the client in words and not end the process.
            descriptors.Dispose();
            return e as VmmProblemException ?? new VmmProblemException("attach-failed", "The device could not be attached.", e.Message, "Look up the failed call in the host's kernel log.", innerException: e);
        }
    }

    private static DeviceDescriptors Sort(AttachRequest request, IReadOnlyList<SafeFileHandle> all)
    {
        var groups = request.Groups ?? [];
        var (firstGroup, firstCdev) = (request.HasContainer ? 1 : 0, (request.HasContainer ? 1 : 0) + groups.Count + (request.HasIommufd ? 1 : 0));
        var expected = firstCdev + request.Cdevs.Count;
        if (request.Devices is not { Count: > 0 } || request.Groups is null || all.Count != expected || groups.Distinct().Count() != groups.Count
            || request.Cdevs.Distinct(StringComparer.Ordinal).Count() != request.Cdevs.Count)
        {
            throw new VmmProblemException("vmm-protocol", "The devices came with the wrong descriptors.",
                $"{request.Devices?.Count ?? 0} devices and {all.Count} descriptors came; {expected} were expected.", "Update the agent.");
        }
        return new DeviceDescriptors
        {
            Container = request.HasContainer ? all[0] : null,
            Groups = groups.Zip(all.Skip(firstGroup)).ToDictionary(),
            Iommufd = request.HasIommufd ? all[firstCdev - 1] : null,
            Cdevs = request.Cdevs.Zip(all.Skip(firstCdev)).ToDictionary(StringComparer.Ordinal),
        };
    }
}
