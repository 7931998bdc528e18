using TransferQueue.Columns;
using Xunit;

namespace TransferQueue.Tests.Columns;

public sealed class FramePlaceTests
{
    [Theory]
    [InlineData(0, 0L, 0x0000_0000_0000_0000UL)]
    [InlineData(1, 5L, 0x0001_0000_0000_0005UL)]
    [InlineData(65534, (1L << 48) - 1, 0xFFFE_FFFF_FFFF_FFFFUL)]
    public void ASegmentAndAnOffsetAreOneNumberOfTheWire(int segment, long offset, ulong place)
    {
        Assert.Equal(place, FramePlace.Of(segment, offset));
        Assert.Equal((segment, offset), (FramePlace.Segment(place), FramePlace.Offset(place)));
    }

    [Theory]
    [InlineData(-1, 0L)]
    [InlineData(65535, 0L)] // the numbers of its last byte mean "inline"
    [InlineData(0, -1L)]
    [InlineData(0, 1L << 48)]
    public void WhatDoesNotFitIsRefused(int segment, long offset) => Assert.Throws<ArgumentOutOfRangeException>(() => FramePlace.Of(segment, offset));

    [Fact]
    public void NoPlaceIsMistakenForAnInlineFrame() => Assert.Equal(65535, FramePlace.Segment(FramePlace.Inline));
}
