namespace Exitless.Vmm.Virtio;

/// <summary>Which vector each queue, and the configuration, signals (virtio 1.2, section 4.1.4.3); and the ISR status for a driver without MSI-X.</summary>
internal sealed class VirtioInterrupts(VirtioVectors vectors, int queues)
{
    public const ushort NoVector = 0xffff;
    private const int QueueBit = 1, ConfigurationBit = 2;

    private readonly ushort[] _queueVectors = Fresh(queues);
    private ushort _configurationVector = NoVector;
    private int _status;

    public ushort ConfigurationVector
    {
        get => _configurationVector;
        set => Volatile.Write(ref _configurationVector, Known(value));
    }

    public ushort QueueVector(int queue) => _queueVectors[queue];

    public void SetQueueVector(int queue, ushort vector) => Volatile.Write(ref _queueVectors[queue], Known(vector));

    /// <summary>Tells the driver of used buffers. Any thread.</summary>
    public void RaiseQueue(int queue) => Raise(Volatile.Read(ref _queueVectors[queue]), QueueBit);

    /// <summary>Tells the driver that the configuration or the status has changed. Any thread.</summary>
    public void RaiseConfiguration() => Raise(Volatile.Read(ref _configurationVector), ConfigurationBit);

    /// <summary>The ISR status; reading clears it.</summary>
    public int TakeStatus() => Interlocked.Exchange(ref _status, 0);

    public void Reset()
    {
        ConfigurationVector = NoVector;
        for (var i = 0; i < _queueVectors.Length; i++)
            SetQueueVector(i, NoVector);
        TakeStatus();
    }

    private static ushort[] Fresh(int queues)
    {
        var all = new ushort[queues];
        Array.Fill(all, NoVector);
        return all;
    }

    private ushort Known(ushort vector) => vector < vectors.Count ? vector : NoVector;

    private void Raise(ushort vector, int bit)
    {
        if (vectors.Enabled)
            vectors.Signal(vector);
        else
            Interlocked.Or(ref _status, bit);
    }
}
