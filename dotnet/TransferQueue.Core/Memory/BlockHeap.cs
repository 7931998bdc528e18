using System.Numerics;

namespace TransferQueue.Memory;

/// <summary>
/// Gives out stretches of memory that it never touches: blocks in units of a granule, neighbours that are free become one, free
/// blocks in size classes of about 3 %, the block that came back last is given out first. Good fit by class and immediate coalescing as in TLSF (Masmano et
/// al., 2004), with the bookkeeping beside the memory instead of in it.
/// </summary>
/// <remarks>
/// A region is a stretch that was added; blocks of different regions never become one. A position is any number that grows with the address.
/// Not thread-safe: the writer's thread only.
/// </remarks>
internal sealed class BlockHeap(long granuleBytes)
{
    /// <summary>What stands for "no block".</summary>
    public const int None = -1;

    /// <summary>Sizes below this many units have a class of their own, above it a power of two is cut into as many classes.</summary>
    private const int LinearClasses = 32;
    private const int LinearBits = 5;
    private const int ClassCount = LinearClasses + (64 - LinearBits) * LinearClasses;

    /// <summary>Blocks of the wanted size's own class that are looked at before a larger class is cut.</summary>
    private const int QuickLooks = 16;

    private readonly int[] _heads = CreateHeads();
    private readonly ulong[] _occupied = new ulong[(ClassCount + 63) / 64];
    private readonly Dictionary<long, int> _allocated = [];
    private readonly List<int> _tails = [];
    private Block[] _blocks = new Block[64];
    private int _blockCount;
    private int _spareBlock = None;
    private int _spareRegion = None;

    private struct Block
    {
        /// <summary>First byte.</summary>
        public long Position;

        /// <summary>Size in granules.</summary>
        public long Units;

        /// <summary>The block before and behind this one in its region.</summary>
        public int Previous, Next;

        /// <summary>Neighbours in the list of its class while free; FreeNext links spare entries too.</summary>
        public int FreePrevious, FreeNext;

        /// <summary>The region.</summary>
        public int Region;

        /// <summary>The life of this room; 0 while free.</summary>
        public uint Epoch;
    }

    /// <summary>Bytes of a unit.</summary>
    public long GranuleBytes => granuleBytes;

    /// <summary>Blocks that are given out.</summary>
    public int AllocatedCount => _allocated.Count;

    /// <summary>Bytes that are free, in whatever pieces.</summary>
    public long FreeBytes { get; private set; }

    /// <summary>Adds a region of its own.</summary>
    /// <returns>Its number; numbers of removed regions come again.</returns>
    public int AddRegion(long position, long bytes)
    {
        int region = _spareRegion;
        if (region == None)
        {
            region = _tails.Count;
            _tails.Add(None);
        }
        else
            _spareRegion = -2 - _tails[region];
        _tails[region] = None;
        ExtendRegion(region, position, bytes);
        return region;
    }

    /// <summary>Adds room right behind a region's end.</summary>
    public void ExtendRegion(int region, long position, long bytes)
    {
        int block = TakeEntry();
        int tail = _tails[region];
        _blocks[block] = new Block { Position = position, Units = bytes / granuleBytes, Previous = tail, Next = None, Region = region };
        if (tail != None)
            _blocks[tail].Next = block;
        _tails[region] = block;
        FreeBytes += bytes;
        Insert(MergeNeighbours(block));
    }

    /// <summary>Bytes that are free at a region's end.</summary>
    public long FreeAtEnd(int region)
    {
        ref readonly Block tail = ref _blocks[_tails[region]];
        return tail.Epoch == 0 ? tail.Units * granuleBytes : 0;
    }

    /// <summary>Whether nothing of a region is given out.</summary>
    public bool IsUnused(int region)
    {
        ref readonly Block tail = ref _blocks[_tails[region]];
        return tail.Epoch == 0 && tail.Previous == None;
    }

    /// <summary>Takes away a region of which nothing is given out.</summary>
    /// <returns>Its first byte.</returns>
    public long RemoveRegion(int region)
    {
        int block = _tails[region];
        long position = _blocks[block].Position;
        Remove(block);
        FreeBytes -= _blocks[block].Units * granuleBytes;
        ReturnEntry(block);
        _tails[region] = -2 - _spareRegion;
        _spareRegion = region;
        return position;
    }

    /// <summary>Gives out room for <paramref name="bytes"/> bytes.</summary>
    /// <param name="bytes">Wanted bytes; rounded up to whole granules, at least one.</param>
    /// <param name="epoch">The life's number, not 0.</param>
    /// <param name="position">First byte.</param>
    /// <returns>False if no free block is large enough.</returns>
    public bool TryAllocate(long bytes, uint epoch, out long position)
    {
        long units = UnitsOf(bytes);
        int block = Find(units);
        position = 0;
        if (block == None)
            return false;
        Remove(block);
        if (_blocks[block].Units > units)
            Insert(SplitOff(block, units));
        _blocks[block].Epoch = epoch;
        position = _blocks[block].Position;
        _allocated.Add(position, block);
        FreeBytes -= units * granuleBytes;
        return true;
    }

    /// <summary>Takes room back.</summary>
    /// <param name="position">First byte of what was given out.</param>
    /// <param name="bytes">Bytes asked for then.</param>
    /// <param name="epoch">The life's number.</param>
    /// <param name="region">Where it lies.</param>
    /// <returns>False if no such room is given out now.</returns>
    public bool TryFree(long position, long bytes, uint epoch, out int region)
    {
        region = None;
        if (!Contains(position, bytes, epoch) || !_allocated.Remove(position, out int block))
            return false;
        region = _blocks[block].Region;
        _blocks[block].Epoch = 0;
        FreeBytes += _blocks[block].Units * granuleBytes;
        Insert(MergeNeighbours(block));
        return true;
    }

    /// <summary>Whether exactly this room is given out, in this life.</summary>
    public bool Contains(long position, long bytes, uint epoch) =>
        _allocated.TryGetValue(position, out int block) && _blocks[block].Epoch == epoch && _blocks[block].Units == UnitsOf(bytes);

    /// <summary>Bytes that room for <paramref name="bytes"/> bytes really takes.</summary>
    public long RoundUp(long bytes) => UnitsOf(bytes) * granuleBytes;

    /// <summary>Bytes of the largest free block. Walks one list: for error texts.</summary>
    public long LargestFreeBytes()
    {
        long largest = 0;
        for (int sizeClass = ClassCount - 1; sizeClass >= 0 && largest == 0; sizeClass--)
            for (int block = _heads[sizeClass]; block != None; block = _blocks[block].FreeNext)
                largest = Math.Max(largest, _blocks[block].Units);
        return largest * granuleBytes;
    }

    private static int[] CreateHeads()
    {
        int[] heads = new int[ClassCount];
        Array.Fill(heads, None);
        return heads;
    }

    private static int ClassOf(long units)
    {
        if (units < LinearClasses)
            return (int)units;
        int power = BitOperations.Log2((ulong)units);
        return LinearClasses + (power - LinearBits) * LinearClasses + (int)(units >> (power - LinearBits)) - LinearClasses;
    }

    private long UnitsOf(long bytes) => Math.Max(1, (bytes + granuleBytes - 1) / granuleBytes);

    /// <summary>A recently returned block of the size's own class, else the first of the next larger class, else any that fits.</summary>
    private int Find(long units)
    {
        int own = ClassOf(units);
        int looks = QuickLooks;
        int block = _heads[own];
        for (; block != None && looks > 0; block = _blocks[block].FreeNext, looks--)
            if (_blocks[block].Units >= units)
                return block;
        int larger = NextOccupied(own + 1);
        if (larger != None)
            return _heads[larger];
        for (; block != None; block = _blocks[block].FreeNext)
            if (_blocks[block].Units >= units)
                return block;
        return None;
    }

    private int NextOccupied(int sizeClass)
    {
        int word = sizeClass / 64;
        if (word >= _occupied.Length)
            return None;
        ulong bits = _occupied[word] & (ulong.MaxValue << (sizeClass % 64));
        while (bits == 0)
        {
            if (++word == _occupied.Length)
                return None;
            bits = _occupied[word];
        }
        return word * 64 + BitOperations.TrailingZeroCount(bits);
    }

    private void Insert(int block)
    {
        int sizeClass = ClassOf(_blocks[block].Units);
        int head = _heads[sizeClass];
        _blocks[block].FreePrevious = None;
        _blocks[block].FreeNext = head;
        if (head != None)
            _blocks[head].FreePrevious = block;
        _heads[sizeClass] = block;
        _occupied[sizeClass / 64] |= 1UL << (sizeClass % 64);
    }

    private void Remove(int block)
    {
        ref Block it = ref _blocks[block];
        if (it.FreeNext != None)
            _blocks[it.FreeNext].FreePrevious = it.FreePrevious;
        if (it.FreePrevious != None)
        {
            _blocks[it.FreePrevious].FreeNext = it.FreeNext;
            return;
        }
        int sizeClass = ClassOf(it.Units);
        _heads[sizeClass] = it.FreeNext;
        if (it.FreeNext == None)
            _occupied[sizeClass / 64] &= ~(1UL << (sizeClass % 64));
    }

    /// <summary>Cuts a block that is in no list; the upper part becomes a block in no list.</summary>
    private int SplitOff(int block, long units)
    {
        int rest = TakeEntry();
        ref Block it = ref _blocks[block];
        _blocks[rest] = new Block
        {
            Position = it.Position + units * granuleBytes,
            Units = it.Units - units,
            Previous = block,
            Next = it.Next,
            Region = it.Region,
        };
        if (it.Next != None)
            _blocks[it.Next].Previous = rest;
        else
            _tails[it.Region] = rest;
        it.Next = rest;
        it.Units = units;
        return rest;
    }

    /// <summary>Makes one block of a free block in no list and its free neighbours.</summary>
    private int MergeNeighbours(int block)
    {
        int next = _blocks[block].Next;
        if (next != None && _blocks[next].Epoch == 0)
        {
            Remove(next);
            Absorb(block, next);
        }
        int previous = _blocks[block].Previous;
        if (previous == None || _blocks[previous].Epoch != 0)
            return block;
        Remove(previous);
        Absorb(previous, block);
        return previous;
    }

    private void Absorb(int block, int next)
    {
        ref Block it = ref _blocks[block];
        it.Units += _blocks[next].Units;
        it.Next = _blocks[next].Next;
        if (it.Next != None)
            _blocks[it.Next].Previous = block;
        else
            _tails[it.Region] = block;
        ReturnEntry(next);
    }

    private int TakeEntry()
    {
        int entry = _spareBlock;
        if (entry != None)
        {
            _spareBlock = _blocks[entry].FreeNext;
            return entry;
        }
        if (_blockCount == _blocks.Length)
            Array.Resize(ref _blocks, _blocks.Length * 2);
        return _blockCount++;
    }

    private void ReturnEntry(int entry)
    {
        _blocks[entry].FreeNext = _spareBlock;
        _spareBlock = entry;
    }
}
