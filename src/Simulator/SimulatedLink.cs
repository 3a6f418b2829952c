using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Exitless.Contracts;
using Grpc.Core;
using Grpc.Net.Client;

namespace Exitless.Simulator;

/// <summary>The one stream of a simulated host: dialled, and dialled again after every end with a delay that doubles up to a limit and is drawn at random.</summary>
internal sealed class SimulatedLink(SimulatedHost host, string hostId, X509Certificate2 certificate, SimulatedPeer peer, TimeProvider time)
{
    public const string AgentVersion = "0.1.0-simulated";
    private const uint Protocol = 1;
    private const int MostVmsOfMessage = 32;
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan WelcomeLimit = TimeSpan.FromSeconds(20);

    /// <summary>Why the last link ended; null: none has.</summary>
    public string? LastEnd { get; private set; }

    /// <summary>Runs until cancelled, or until the control plane has revoked the certificate.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var delay = FirstDelay;
        using var channel = peer.Open(certificate);
        while (!stop.IsCancellationRequested)
        {
            var welcomed = false;
            try
            {
                await AttachAsync(channel, () => welcomed = true, stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is RpcException or IOException or InvalidOperationException or TimeoutException or OperationCanceledException)
            {
                LastEnd = e is RpcException rpc ? $"{rpc.StatusCode}: {rpc.Status.Detail}" : e.Message;
                if (e is RpcException { StatusCode: StatusCode.Unauthenticated or StatusCode.PermissionDenied })
                    return;
            }
            delay = welcomed || delay * 2 > LongestDelay ? (welcomed ? FirstDelay : LongestDelay) : delay * 2;
            await Task.Delay(delay * (0.5 + Random.Shared.NextDouble() / 2), time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task AttachAsync(GrpcChannel channel, Action onWelcome, CancellationToken stop)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var (call, welcome) = await DialAsync(channel, ended.Token);
        using var _ = call;
        onWelcome();
        var outgoing = host.LinkUp(welcome);
        try
        {
            Task[] work = [ReadAsync(call.ResponseStream, ended.Token), WriteAsync(outgoing, call.RequestStream, welcome.TakesMany, ended.Token)];
            var first = await Task.WhenAny(work);
            await ended.CancelAsync();
            await Task.WhenAll(work).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await first;
        }
        finally
        {
            host.LinkDown();
        }
    }

    private async Task<(AsyncDuplexStreamingCall<AgentMessage, ControlMessage> Call, Welcome Welcome)> DialAsync(GrpcChannel channel, CancellationToken stop)
    {
        await peer.Dialling.WaitAsync(stop);
        AsyncDuplexStreamingCall<AgentMessage, ControlMessage>? call = null;
        try
        {
            call = new AgentLink.AgentLinkClient(channel).Attach(cancellationToken: stop);
            await call.RequestStream.WriteAsync(new AgentMessage
            {
                Hello = new Hello { Protocol = Protocol, HostId = hostId, HostName = host.Name, AgentVersion = AgentVersion, BootId = host.BootId, WantedGeneration = host.WantedGeneration, TakesAcks = true },
            }, stop);
            if (!await call.ResponseStream.MoveNext(stop).WaitAsync(WelcomeLimit, time, stop) || call.ResponseStream.Current.Welcome is not { } welcome)
                throw new InvalidOperationException("The control plane did not begin with its welcome.");
            return (call, welcome);
        }
        catch
        {
            call?.Dispose();
            throw;
        }
        finally
        {
            peer.Dialling.Release();
        }
    }

    private async Task ReadAsync(IAsyncStreamReader<ControlMessage> stream, CancellationToken stop)
    {
        while (await stream.MoveNext(stop))
            host.Take(stream.Current);
        throw new InvalidOperationException("The control plane closed the stream.");
    }

    private static async Task WriteAsync(ChannelReader<AgentMessage> outgoing, IClientStreamWriter<AgentMessage> stream, bool takesMany, CancellationToken stop)
    {
        await foreach (var message in outgoing.ReadAllAsync(stop))
            await stream.WriteAsync(takesMany && message.Rows is not null ? Gather(message, outgoing) : message, stop);
    }

    private static AgentMessage Gather(AgentMessage first, ChannelReader<AgentMessage> outgoing)
    {
        var many = new RowsOfMany { Rows = { first.Rows } };
        while (many.Rows.Count < MostVmsOfMessage && outgoing.TryPeek(out var next) && next.Rows is not null && outgoing.TryRead(out next))
            many.Rows.Add(next.Rows);
        return many.Rows.Count == 1 ? first : new AgentMessage { Many = many };
    }
}
