using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>An agent whose every word the test says, over the real link: TLS with its certificate, gRPC, loopback.</summary>
internal sealed class ScriptedAgent : IAsyncDisposable
{
    private readonly TestHost _host;
    private GrpcChannel? _channel;

    private ScriptedAgent(TestHost host, string name, Guid id, X509Certificate2 certificate) => (_host, Name, Id, Certificate) = (host, name, id, certificate);

    public string Name { get; }

    public Guid Id { get; }

    public X509Certificate2 Certificate { get; private set; }

    /// <summary>Makes a token and enrols with it.</summary>
    public static async Task<ScriptedAgent> EnrolAsync(TestHost host, string name, string? machineId = null)
    {
        var token = await host.Services.GetRequiredService<IEnrolmentTokens>().CreateAsync(new CreateEnrolmentTokenRequest(name), TestHost.By, CancellationToken.None);
        return await EnrolAsync(host, token.Token, name, machineId);
    }

    public static async Task<ScriptedAgent> EnrolAsync(TestHost host, string token, string name, string? machineId)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var channel = Channel(host, null);
        var reply = await new Enrolment.EnrolmentClient(channel).EnrolAsync(new EnrolRequest
        {
            Token = token,
            SigningRequest = ByteString.CopyFrom(SigningRequest(key)),
            HostName = name,
            MachineId = machineId ?? Guid.CreateVersion7().ToString("N"),
            AgentVersion = "1.2.3",
        });
        Assert.Equal(host.Authority.Certificate.ExportCertificatePem(), reply.AuthorityPem);
        return new ScriptedAgent(host, name, Guid.Parse(reply.HostId), WithKey(reply.CertificatePem, key));
    }

    public static byte[] SigningRequest(ECDsa key) => new CertificateRequest("CN=ignored", key, HashAlgorithmName.SHA256).CreateSigningRequest();

    public static X509Certificate2 WithKey(string pem, ECDsa key)
    {
        using var certificate = X509Certificate2.CreateFromPem(pem);
        return certificate.CopyWithPrivateKey(key);
    }

    /// <summary>A channel to the agents' port that trusts the CA and checks the name that agents check.</summary>
    public static GrpcChannel Channel(TestHost host, X509Certificate2? certificate)
    {
        var handler = host.AgentHandler();
        if (certificate is not null)
            handler.SslOptions.ClientCertificates = [certificate];
        return GrpcChannel.ForAddress(host.AgentAddress, new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
    }

    /// <summary>Gets a new certificate and goes on with it.</summary>
    public async Task RenewAsync()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var channel = Channel(_host, Certificate);
        var reply = await new AgentLink.AgentLinkClient(channel).RenewAsync(new RenewRequest { SigningRequest = ByteString.CopyFrom(SigningRequest(key)) });
        Certificate = WithKey(reply.CertificatePem, key);
    }

    /// <summary>Opens the link and says hello.</summary>
    public async Task<ScriptedLink> AttachAsync(Action<Hello>? change = null)
    {
        if (_channel is not null)
            await _channel.ShutdownAsync();
        _channel = Channel(_host, Certificate);
        var call = new AgentLink.AgentLinkClient(_channel).Attach();
        var hello = new Hello { Protocol = 1, HostId = Id.ToString("D"), HostName = Name, AgentVersion = "1.2.3", BootId = "boot-1" };
        change?.Invoke(hello);
        var link = new ScriptedLink(_host, this, call);
        await link.SendAsync(new AgentMessage { Hello = hello });
        return link;
    }

    /// <summary>Opens the link, and has the control plane's greeting and its first wanted state behind it.</summary>
    public async Task<(ScriptedLink Link, Welcome Welcome, WantedState Wanted)> AttachWelcomedAsync(Action<Hello>? change = null)
    {
        var link = await AttachAsync(change);
        var welcome = (await link.NextAsync(m => m.BodyCase == ControlMessage.BodyOneofCase.Welcome)).Welcome;
        var wanted = (await link.NextAsync(m => m.BodyCase == ControlMessage.BodyOneofCase.Wanted)).Wanted;
        return (link, welcome, wanted);
    }

    /// <summary>Opens the link and reports the inventory of <see cref="Inventories.Plain"/>.</summary>
    public async Task<ScriptedLink> ComeUpAsync(Action<Inventory>? change = null)
    {
        var (link, _, _) = await AttachWelcomedAsync();
        var inventory = Inventories.Plain();
        change?.Invoke(inventory);
        await link.SendAsync(new AgentMessage { Inventory = inventory });
        await _host.UntilAsync("the inventory is there", async () => (await _host.GetAsync<HostDto>($"/api/v1/hosts/{Id}")).Facts is not null);
        return link;
    }

    public async ValueTask DisposeAsync()
    {
        if (_channel is not null)
            await _channel.ShutdownAsync();
        _channel?.Dispose();
        Certificate.Dispose();
    }
}

/// <summary>An open link of a scripted agent.</summary>
internal sealed class ScriptedLink(TestHost host, ScriptedAgent agent, AsyncDuplexStreamingCall<AgentMessage, ControlMessage> call) : IDisposable
{
    public Task SendAsync(AgentMessage message) => call.RequestStream.WriteAsync(message);

    /// <summary>The next message that is so; those before it are passed over.</summary>
    public async Task<ControlMessage> NextAsync(Func<ControlMessage, bool> so)
    {
        using var limit = new CancellationTokenSource(TestHost.Limit);
        while (await call.ResponseStream.MoveNext(limit.Token))
        {
            if (so(call.ResponseStream.Current))
                return call.ResponseStream.Current;
        }
        throw new InvalidOperationException("The control plane ended the link.");
    }

    /// <summary>The next wanted state that is so.</summary>
    public async Task<WantedState> WantedAsync(Func<WantedState, bool> so) => (await NextAsync(m => m.Wanted is { } w && so(w))).Wanted;

    public async Task<SampleAck> AckAsync(Guid vm) => (await NextAsync(m => m.Ack is { } a && a.VmId == vm.ToString("D"))).Ack;

    /// <summary>How the control plane ends the link.</summary>
    public async Task<Status> EndAsync()
    {
        using var limit = new CancellationTokenSource(TestHost.Limit);
        try
        {
            while (await call.ResponseStream.MoveNext(limit.Token))
            {
                // What is still on its way.
            }
            return call.GetStatus();
        }
        catch (RpcException e)
        {
            return e.Status;
        }
    }

    /// <summary>Reports one VM of a wanted state in a state of its own.</summary>
    public Task ReportAsync(WantedState wanted, Contracts.VmState state, Action<ObservedVm>? change = null)
    {
        var observed = new ObservedState { Generation = wanted.Generation };
        foreach (var vm in wanted.Vms)
        {
            var seen = new ObservedVm { VmId = vm.VmId, Generation = vm.Generation, State = state };
            if (state == Contracts.VmState.Running)
                (seen.ProcessId, seen.StartedAt) = (4242, host.Clock.GetUtcNow().ToUnixTimeMilliseconds());
            change?.Invoke(seen);
            observed.Vms.Add(seen);
        }
        return SendAsync(new AgentMessage { Observed = observed });
    }

    /// <summary>Hangs up, and waits until the control plane has noticed.</summary>
    public async Task HangUpAsync()
    {
        Dispose();
        await host.UntilAsync("the link is down", async () => !(await host.GetAsync<HostDto>($"/api/v1/hosts/{agent.Id}")).Connected);
    }

    public void Dispose() => call.Dispose();
}
