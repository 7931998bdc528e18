namespace TransferQueue.Transport;

/// <summary>Fds of others that the loop watches.</summary>
internal sealed partial class ServerLoop
{
    private readonly Dictionary<long, FdWatch> _watches = [];

    /// <summary>
    /// Calls an action on the loop's thread whenever an fd can be read, has an error, or its other end is closed; again and again while that is so (level-triggered).
    /// On the loop's thread, or before <see cref="Run"/>.
    /// </summary>
    /// <param name="fd">The caller's: a pidfd, a pipe's read end, an eventfd. One watch per fd. Dispose of the watch first, close the fd then.</param>
    /// <param name="onReadable">Must not block. An exception ends the watch, and is counted as a fault.</param>
    /// <returns>Ends the watch, on the loop's thread; the action is not called any more then.</returns>
    /// <exception cref="TransferQueueException">The fd can't be watched, or is watched already.</exception>
    public IDisposable Watch(int fd, Action onReadable)
    {
        var watch = new FdWatch(this, _nextId++, fd, onReadable);
        _epoll.Add(fd, EpollEvents.Read, watch.Key);
        _watches.Add(watch.Key, watch);
        return watch;
    }

    private sealed class FdWatch(ServerLoop loop, long key, int fd, Action onReadable) : IDisposable
    {
        public long Key => key;

        public void Run()
        {
            long faults = loop.FaultCount;
            loop.Guard(null, onReadable);
            if (loop.FaultCount > faults)
                Dispose();
        }

        public void Dispose()
        {
            if (loop._watches.Remove(key) && !loop._isDisposed)
                loop._epoll.Remove(fd);
        }
    }
}
