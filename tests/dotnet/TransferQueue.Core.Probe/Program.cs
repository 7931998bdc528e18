using System.Text;
using TransferQueue;
using TransferQueue.Probe;

// The second process of tests/python/protocol: what Python's msgpack wrote is read here, strictly, and written again.
// A document in:  u16 type · u16 frame count · u32 header bytes · i64[frame count] frame lengths · header.
// A document out: u8 1 and the header written again, or u8 0 and the error's text; between them u32 bytes.
using var input = new BinaryReader(Console.OpenStandardInput());
using var output = new BinaryWriter(Console.OpenStandardOutput());
while (Document.TryRead(input) is { } document)
{
    bool read = true;
    byte[] answer;
    try
    {
        answer = document.WrittenAgain().ToArray();
    }
    catch (TransferQueueException error)
    {
        read = false;
        answer = Encoding.UTF8.GetBytes($"{error.Kind}: {error.Message}");
    }
    output.Write(read);
    output.Write(answer.Length);
    output.Write(answer);
    output.Flush();
}
