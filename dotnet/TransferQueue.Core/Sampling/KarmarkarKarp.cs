namespace TransferQueue.Sampling;

/// <summary>
/// Divides weights among shares so that the sums are close: the largest differencing method for k shares (N. Karmarkar and
/// R. M. Karp, "The differencing method of set partitioning", 1982).
/// </summary>
/// <remarks>Ties are broken by order of creation, so that the same weights always give the same shares, here and in Python.</remarks>
internal static class KarmarkarKarp
{
    /// <summary>Divides weights into shares of the same number of weights each.</summary>
    /// <param name="weights">At least 1, a multiple of <paramref name="shares"/>.</param>
    /// <param name="shares">How many shares, ≥ 1.</param>
    /// <returns>Per share the positions of its weights, ascending; the heaviest share first.</returns>
    internal static int[][] DivideEvenly(ReadOnlySpan<double> weights, int shares)
    {
        int[] order = [.. Enumerable.Range(0, weights.Length)];
        double[] keys = weights.ToArray();
        // Stable: equal weights keep their order.
        order = [.. order.OrderBy(position => keys[position])];
        PriorityQueue<Share[], (double Spread, int Number)> open = new(Comparer<(double Spread, int Number)>.Create(
            (a, b) => a.Spread != b.Spread ? b.Spread.CompareTo(a.Spread) : a.Number.CompareTo(b.Number)));
        int number = 0;
        for (int first = 0; first < order.Length; first += shares)
            Push([.. order.AsSpan(first, shares).ToArray().Select(position => new Share(keys[position], [position]))]);
        while (open.Count > 1)
        {
            Share[] wide = open.Dequeue(), narrow = open.Dequeue();
            // The heaviest of one with the lightest of the other.
            Push([.. wide.Select((share, i) => share.With(narrow[shares - 1 - i]))]);
        }
        return [.. open.Dequeue().Select(share => share.Positions.Order().ToArray())];

        void Push(Share[] division)
        {
            Share[] sorted = [.. division.OrderByDescending(share => share.Sum)];
            open.Enqueue(sorted, (sorted[0].Sum - sorted[^1].Sum, number++));
        }
    }

    /// <summary>Weights that go together.</summary>
    private readonly record struct Share(double Sum, List<int> Positions)
    {
        /// <summary>Both together; the longer list is used on.</summary>
        public Share With(Share other)
        {
            var (longer, shorter) = Positions.Count >= other.Positions.Count ? (Positions, other.Positions) : (other.Positions, Positions);
            longer.AddRange(shorter);
            return new Share(Sum + other.Sum, longer);
        }
    }
}
