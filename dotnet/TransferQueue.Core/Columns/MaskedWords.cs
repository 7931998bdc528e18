namespace TransferQueue.Columns;

/// <summary>The 64-bit words that a range of slots touches, each with the mask of its slots inside the range.</summary>
internal ref struct MaskedWords
{
    private readonly long _start;
    private readonly long _end;
    private int _word;

    /// <summary>The range [<paramref name="start"/>, <paramref name="start"/> + <paramref name="count"/>), checked by the caller.</summary>
    internal MaskedWords(int start, int count)
    {
        _start = start;
        _end = (long)start + count;
        _word = start / ReadinessBitmap.WordBits - 1;
    }

    /// <summary>A word's position and the mask of its slots.</summary>
    public readonly (int Word, ulong Mask) Current
    {
        get
        {
            long first = (long)_word * ReadinessBitmap.WordBits;
            ulong mask = ulong.MaxValue;
            if (_start > first)
                mask <<= (int)(_start - first);
            if (_end < first + ReadinessBitmap.WordBits)
                mask &= ulong.MaxValue >> (int)(first + ReadinessBitmap.WordBits - _end);
            return (_word, mask);
        }
    }

    /// <summary>For foreach.</summary>
    public readonly MaskedWords GetEnumerator() => this;

    /// <summary>Goes on to the next word; false behind the range.</summary>
    public bool MoveNext() => _start < _end && (long)++_word * ReadinessBitmap.WordBits < _end;
}
