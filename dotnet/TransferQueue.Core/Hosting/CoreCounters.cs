namespace TransferQueue.Hosting;

/// <summary>What a core has been asked. Loop thread only.</summary>
internal sealed class CoreCounters
{
    /// <summary>Requests whose header arrived.</summary>
    public long Requests { get; private set; }

    /// <summary>Error replies.</summary>
    public long Errors { get; private set; }

    /// <summary>Payload frames that requests announced.</summary>
    public long FramesReceived { get; private set; }

    /// <summary>Payload frames of replies.</summary>
    public long FramesSent { get; private set; }

    /// <summary>Answers that were given a second time, to a repeated request.</summary>
    public long Repeated { get; private set; }

    /// <summary>Counts a request.</summary>
    public void Request(int frames)
    {
        Requests++;
        FramesReceived += frames;
    }

    /// <summary>Counts an error reply.</summary>
    public void Error() => Errors++;

    /// <summary>Counts the frames of a reply.</summary>
    public void Sent(int frames) => FramesSent += frames;

    /// <summary>Counts a repeated answer.</summary>
    public void Repeat() => Repeated++;
}
