using TransferQueue.Records;
using Xunit;

namespace TransferQueue.Tests.Records;

public sealed class RequestMemoryBoundTests
{
    private readonly Guid _client = Guid.NewGuid();

    [Fact]
    public void AnswersAreBoundedInNumberAndInBytes()
    {
        RequestMemory memory = Connected(answers: 8, bytes: 100);
        for (ulong id = 1; id <= 20; id++)
            Carry(memory, id, bytes: 1);
        Assert.Equal(8, memory.AnswerCount);
        Carry(memory, 21, bytes: 95);
        Assert.Equal(6, memory.AnswerCount);
        Carry(memory, 22, bytes: 101);
        Assert.Equal(0, memory.AnswerCount);
        Assert.Throws<ProtocolException>(() => Begin(memory, 22));
    }

    [Fact]
    public void ARequestWithoutEffectMayComeAgain()
    {
        RequestMemory memory = Connected();
        Begin(memory, 1);
        memory.Drop(_client, 1);
        Assert.Equal(RequestState.New, Begin(memory, 1));
    }

    [Fact]
    public void ClientsDoNotSeeEachOther()
    {
        RequestMemory memory = Connected();
        Guid other = Guid.NewGuid();
        memory.Connect(other);
        Carry(memory, 1);
        Assert.Equal(RequestState.New, memory.Begin(other, 1, 0, out _));
    }

    [Fact]
    public void ClientsThatAreGoneLongestAreForgottenFirstAndConnectedOnesNever()
    {
        RequestMemory memory = new(new RequestMemoryOptions { AbsentClients = 2 });
        Guid[] clients = [.. Enumerable.Range(0, 4).Select(_ => Guid.NewGuid())];
        foreach (Guid client in clients)
        {
            memory.Connect(client);
            memory.Begin(client, 1, 0, out _);
            memory.Finish(client, 1, Answer(1));
        }
        memory.Connect(clients[0]);
        foreach (Guid client in clients)
            memory.Disconnect(client);
        Assert.Equal(3, memory.ClientCount);
        memory.Connect(clients[2]);
        Assert.Equal(RequestState.Answered, memory.Begin(clients[2], 1, 0, out _));
        Assert.Equal(RequestState.Answered, memory.Begin(clients[0], 1, 0, out _));
        memory.Connect(clients[1]);
        Assert.Equal(RequestState.New, memory.Begin(clients[1], 1, 0, out _));
    }

    private RequestMemory Connected(int answers = 256, long bytes = 1 << 20)
    {
        RequestMemory memory = new(new RequestMemoryOptions { Answers = answers, AnswerBytes = bytes });
        memory.Connect(_client);
        return memory;
    }

    private RequestState Begin(RequestMemory memory, ulong id) => memory.Begin(_client, id, 0, out _);

    private void Carry(RequestMemory memory, ulong id, int bytes = 1)
    {
        Assert.Equal(RequestState.New, Begin(memory, id));
        memory.Finish(_client, id, Answer(bytes));
    }

    private static RememberedAnswer Answer(int bytes) => new(100, new byte[bytes]);
}
