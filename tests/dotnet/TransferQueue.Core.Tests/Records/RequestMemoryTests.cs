using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class RequestMemoryTests
{
    private static readonly Guid Client = Guid.NewGuid();

    private static RequestMemory Connected(int answers = 4)
    {
        var memory = new RequestMemory(new RequestMemoryOptions { Answers = answers });
        memory.Connect(Client);
        return memory;
    }

    private static void CarryOut(RequestMemory memory, ulong request, ulong acknowledged = 0)
    {
        Assert.Equal(RequestState.New, memory.Begin(Client, request, acknowledged, out _));
        memory.Finish(Client, request, new RememberedAnswer(100, new byte[] { (byte)request }));
    }

    [Fact]
    public void ARepeatedRequestGetsTheFirstAnswer()
    {
        RequestMemory memory = Connected();
        CarryOut(memory, 7);
        Assert.Equal(RequestState.Answered, memory.Begin(Client, 7, 0, out RememberedAnswer? answer));
        Assert.Equal(7, answer!.Header.Span[0]);
    }

    [Fact]
    public void ARequestThatIsBeingCarriedOutIsNotStartedAgain()
    {
        RequestMemory memory = Connected();
        Assert.Equal(RequestState.New, memory.Begin(Client, 1, 0, out _));
        Assert.Equal(RequestState.Running, memory.Begin(Client, 1, 0, out _));
        memory.Drop(Client, 1);
        Assert.Equal(RequestState.New, memory.Begin(Client, 1, 0, out _));
    }

    [Fact]
    public void AnswersAreBoundedAndAForgottenOneIsNotCarriedOutAgain()
    {
        RequestMemory memory = Connected(answers: 4);
        for (ulong request = 1; request <= 10; request++)
            CarryOut(memory, request);
        Assert.Equal(4, memory.AnswerCount);
        Assert.Throws<ProtocolException>(() => memory.Begin(Client, 3, 0, out _));
        Assert.Equal(RequestState.Answered, memory.Begin(Client, 9, 0, out _));
    }

    [Fact]
    public void ASmallIdThatComesLateIsStillNew()
    {
        RequestMemory memory = Connected(answers: 4);
        for (ulong request = 2; request <= 10; request++)
            CarryOut(memory, request);
        Assert.Equal(RequestState.New, memory.Begin(Client, 1, 0, out _));
    }

    [Fact]
    public void AcknowledgedAnswersGoAndTheirRequestsAreRefused()
    {
        RequestMemory memory = Connected();
        CarryOut(memory, 1);
        CarryOut(memory, 2);
        CarryOut(memory, 3, acknowledged: 3);
        Assert.Equal(1, memory.AnswerCount);
        Assert.Throws<ProtocolException>(() => memory.Begin(Client, 2, 3, out _));
    }

    [Fact]
    public void RangesAgreeWithASetOfIds()
    {
        var random = new Random(5);
        for (int round = 0; round < 50; round++)
        {
            var ranges = new RequestRanges();
            HashSet<ulong> model = [];
            for (int step = 0; step < 200; step++)
            {
                ulong id = (ulong)random.Next(1, 120);
                if (random.Next(20) == 0)
                {
                    ranges.RemoveBelow(id);
                    model.RemoveWhere(other => other < id);
                }
                else
                {
                    ranges.Add(id);
                    model.Add(id);
                }
                for (ulong probe = 0; probe < 122; probe++)
                    Assert.Equal(model.Contains(probe), ranges.Contains(probe));
            }
            int expected = model.Count(id => !model.Contains(id - 1));
            Assert.Equal(expected, ranges.Count);
        }
    }
}
