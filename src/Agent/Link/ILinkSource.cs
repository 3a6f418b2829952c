using Exitless.Contracts;

namespace Exitless.Agent.Link;

/// <summary>
/// Something that has messages for the control plane. The link asks for one message at a time, when the stream can take it: HTTP/2's flow control reaches every
/// source, and nothing piles up in between.
/// </summary>
internal interface ILinkSource
{
    /// <summary>A new stream is open; the welcome says what the control plane has already.</summary>
    void Restart(Welcome welcome);

    /// <summary>The next message, or null when there is none now.</summary>
    AgentMessage? Next();
}
