namespace Exitless.Vmm;

/// <summary>Things to release, last one first; a launch that fails half-way releases what it has made so far.</summary>
internal sealed class DisposeStack : IDisposable
{
    private readonly Stack<IDisposable> _items = new();

    public T Push<T>(T item) where T : IDisposable
    {
        _items.Push(item);
        return item;
    }

    public void Dispose()
    {
        while (_items.TryPop(out var item))
            item.Dispose();
    }
}
