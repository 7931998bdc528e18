using System.Collections.Concurrent;

namespace TransferQueue.Interop;

/// <summary>
/// Objects that Python knows by number. A number is never given twice, so giving one back twice, or too late, finds nothing.
/// </summary>
/// <remarks>
/// Thread-safe and without locks, since holders of Python's GIL call it: an entry leaves its slot by one compare-and-swap of its
/// reference, whoever wins has the object.
/// </remarks>
internal sealed class HandleTable
{
    private const int SlotBits = 12;
    private const int SlotsPerChunk = 1 << SlotBits;
    private const int MostChunks = 1 << 12;
    private const int IndexBits = 24;

    private readonly Entry?[]?[] _chunks = new Entry?[]?[MostChunks];
    private readonly ConcurrentStack<int> _free = new();
    private long _serial;
    private int _used;
    private int _count;

    /// <summary>Handles that are out.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Gives an object a number &gt; 0.</summary>
    /// <exception cref="StorageFullException">16 million are out.</exception>
    public long Add(object value)
    {
        int index = _free.TryPop(out int free) ? free : Interlocked.Increment(ref _used) - 1;
        if (index >= MostChunks * SlotsPerChunk)
            throw new StorageFullException($"handles: {Count} are out, no more can be; release some (is something keeping all fetched tensors?)");
        long handle = Interlocked.Increment(ref _serial) << IndexBits | (uint)index;
        Volatile.Write(ref GetSlot(index), new Entry(handle, value));
        Interlocked.Increment(ref _count);
        return handle;
    }

    /// <summary>The object; it stays.</summary>
    /// <exception cref="InvalidArgumentException">The number is no handle of a <typeparamref name="T"/>.</exception>
    public T Get<T>(long handle)
        where T : class =>
        Find(handle)?.Value as T ?? throw new InvalidArgumentException($"handle {handle}: no {typeof(T).Name} has it; it was closed or never opened");

    /// <summary>The object, which stays; null if the number is not out.</summary>
    public object? TryGet(long handle) => Find(handle)?.Value;

    /// <summary>The object, which leaves the table; null if the number is not (or no longer) out.</summary>
    public object? TryTake(long handle)
    {
        if (Find(handle) is not { } entry)
            return null;
        int index = (int)(handle & ((1 << IndexBits) - 1));
        if (Interlocked.CompareExchange(ref GetSlot(index), null, entry) != entry)
            return null;
        Interlocked.Decrement(ref _count);
        _free.Push(index);
        return entry.Value;
    }

    private Entry? Find(long handle)
    {
        int index = (int)(handle & ((1 << IndexBits) - 1));
        if (handle <= 0 || index >= Volatile.Read(ref _used) || Volatile.Read(ref _chunks[index >> SlotBits]) is not { } chunk)
            return null;
        Entry? entry = Volatile.Read(ref chunk[index & (SlotsPerChunk - 1)]);
        return entry?.Handle == handle ? entry : null;
    }

    private ref Entry? GetSlot(int index)
    {
        ref Entry?[]? chunk = ref _chunks[index >> SlotBits];
        if (Volatile.Read(ref chunk) is null)
            Interlocked.CompareExchange(ref chunk, new Entry?[SlotsPerChunk], null);
        return ref chunk![index & (SlotsPerChunk - 1)];
    }

    private sealed record Entry(long Handle, object Value);
}
