namespace TransferQueue.Tests.Memory;

/// <summary>Managed memory that the calling thread takes.</summary>
internal static class ThreadAllocations
{
    private const int Measurements = 5;

    /// <summary>
    /// Bytes that the thread takes for something, to the byte: the least of five measurements. When another thread brings a collection, what is left of the 8 KiB that
    /// this one took from the heap may be counted as well (seen: 72 to 8,200 bytes, one time in a hundred beside a thread that does nothing but allocate); nothing is ever left out.
    /// </summary>
    /// <param name="action">What is measured; takes the same each time.</param>
    public static long By(Action action)
    {
        long least = long.MaxValue;
        for (int i = 0; i < Measurements; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
