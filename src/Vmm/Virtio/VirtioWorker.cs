using Exitless.Linux;

namespace Exitless.Vmm.Virtio;

/// <summary>The thread that serves one device: waits for its queues' notices and for what else it listens to. No vCPU thread ever does a device's work.</summary>
internal sealed class VirtioWorker : IDisposable
{
    /// <summary>Tags below are queues.</summary>
    public const ulong FirstTag = 1 << 16;
    private const ulong StopTag = ulong.MaxValue;
    private const int MostReports = 16;
    private const int MostFailures = 100;

    private readonly VirtioDevice _device;
    private readonly Action<string> _log;
    private readonly Epoll _epoll = new();
    private readonly EventFd _stop = new();
    private readonly Thread _thread;
    private volatile bool _stopping;

    public VirtioWorker(VirtioDevice device, Action<string> log)
    {
        (_device, _log) = (device, log);
        _thread = new Thread(Run) { IsBackground = true, Name = device.Name };
        try
        {
            for (var i = 0; i < device.Notices.Length; i++)
                _epoll.Add(device.Notices[i].Handle, EpollEvents.Readable, (ulong)i);
            _epoll.Add(_stop.Handle, EpollEvents.Readable, StopTag);
            device.Listen(_epoll);
            _thread.Start();
        }
        catch
        {
            _epoll.Dispose();
            _stop.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _stopping = true;
        _stop.Signal();
        _thread.Join();
        _epoll.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        for (var failures = 0; !_stopping && failures < MostFailures;)
        {
            try
            {
                ServeOnce();
            }
            catch (Exception e)
            {
                // A defect of ours, or a host that fails: it costs this device, not the process, and is said once.
                if (failures++ == 0)
                    _log($"{_device.Name} stops: {e.GetType().Name}: {e.Message}");
                _device.Fail();
            }
        }
    }

    private void ServeOnce()
    {
        Span<EpollEvent> reports = stackalloc EpollEvent[MostReports];
        var count = _epoll.Wait(reports, _device.WaitMilliseconds);
        if (count == 0)
            _device.ServeTime();
        foreach (ref readonly var report in reports[..count])
        {
            if (report.Tag < FirstTag)
                _device.Serve((int)report.Tag);
            else if (report.Tag != StopTag)
                _device.Serve(report.Tag, report.Events);
        }
    }
}
