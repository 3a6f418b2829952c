using Exitless.Contracts;
using Grpc.Core;

namespace Exitless.Agent.Tests.Peer;

/// <summary>One stream of an agent, as the control plane holds it.</summary>
internal sealed class AgentStream(IAsyncStreamReader<AgentMessage> from, IServerStreamWriter<ControlMessage> to, string certificateSerial)
{
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Closed => _closed.Task;

    public string CertificateSerial { get; } = certificateSerial;

    public Task SendAsync(ControlMessage message) => to.WriteAsync(message);

    public Task<AgentMessage> NextAsync() => NextAsync(Limit.Time);

    public async Task<AgentMessage> NextAsync(TimeSpan limit) =>
        await from.MoveNext(CancellationToken.None).WaitAsync(limit, TestContext.Current.CancellationToken) ? from.Current : throw new InvalidOperationException("The agent closed the stream.");

    /// <summary>Reads on until a message fits.</summary>
    public async Task<T> NextAsync<T>(Func<AgentMessage, T?> pick)
        where T : class
    {
        while (true)
        {
            if (pick(await NextAsync()) is { } picked)
                return picked;
        }
    }

    /// <summary>Welcomes the agent and gives what it said first.</summary>
    public Task<Hello> WelcomeAsync(params SampleAck[] acknowledged) => WelcomeAsync(sendStored: false, acknowledged);

    public async Task<Hello> WelcomeAsync(bool sendStored, params SampleAck[] acknowledged)
    {
        var hello = (await NextAsync()).Hello;
        var welcome = new Welcome { Time = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), SendStored = sendStored };
        welcome.Acknowledged.AddRange(acknowledged);
        await SendAsync(new ControlMessage { Welcome = welcome });
        return hello;
    }

    public void Close() => _closed.TrySetResult();
}
