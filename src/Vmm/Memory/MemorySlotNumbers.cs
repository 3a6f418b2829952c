namespace Exitless.Vmm.Memory;

/// <summary>Gives out the numbers of KVM's memory slots; those given back come first.</summary>
internal sealed class MemorySlotNumbers
{
    private readonly Lock _gate = new();
    private readonly Stack<uint> _free = new();
    private readonly uint _first;
    private uint _next;

    /// <param name="first">The first number that is free.</param>
    public MemorySlotNumbers(uint first) => _first = _next = first;

    /// <summary>How many are in use.</summary>
    public int Taken
    {
        get
        {
            lock (_gate)
                return (int)(_next - _first) - _free.Count;
        }
    }

    public uint Take()
    {
        lock (_gate)
            return _free.TryPop(out var number) ? number : _next++;
    }

    public void Give(uint number)
    {
        lock (_gate)
            _free.Push(number);
    }
}
