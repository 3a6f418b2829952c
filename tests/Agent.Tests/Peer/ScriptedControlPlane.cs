using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Exitless.Contracts;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Tests.Peer;

/// <summary>A control plane that does what a test says: the real protocol over real mutual TLS on loopback.</summary>
internal sealed class ScriptedControlPlane : IAsyncDisposable
{
    public const string GoodToken = "once-only";
    public const string HostId = "0198b6b2-0000-7000-8000-000000000001";
    private readonly Channel<AgentStream> _streams = Channel.CreateUnbounded<AgentStream>();
    private readonly TestAuthority _authority;
    private readonly bool _ownsAuthority;
    private WebApplication _app = null!;

    private ScriptedControlPlane(TestAuthority? authority) => (_authority, _ownsAuthority) = (authority ?? new TestAuthority(), authority is null);

    public Uri Address { get; private set; } = null!;

    public TestAuthority Authority => _authority;

    /// <summary>The CA certificate that it shows to who asks.</summary>
    public X509Certificate2 ShownAuthority { get; set; } = null!;

    public ConcurrentQueue<EnrolRequest> Enrolments { get; } = new();

    /// <summary>How long the certificates live that it issues next.</summary>
    public (DateTimeOffset From, DateTimeOffset Until) Life { get; set; } = (TestAuthority.Start, TestAuthority.Start.AddDays(90));

    public static async Task<ScriptedControlPlane> StartAsync(string serverName = "control-plane.exitless.internal", int port = 0, TestAuthority? authority = null)
    {
        var plane = new ScriptedControlPlane(authority);
        plane.ShownAuthority = plane._authority.Certificate;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(plane);
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.UseHttps(https =>
            {
                https.ServerCertificate = plane._authority.IssueServer(serverName);
                https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
                https.ClientCertificateValidation = (certificate, _, _) => plane.IsOurs(certificate);
            });
        }));
        plane._app = builder.Build();
        plane._app.MapGrpcService<EnrolmentService>();
        plane._app.MapGrpcService<LinkService>();
        await plane._app.StartAsync();
        plane.Address = new Uri(plane._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return plane;
    }

    /// <summary>The next stream that an agent opens.</summary>
    public Task<AgentStream> NextStreamAsync() => NextStreamAsync(TestContext.Current.CancellationToken).Within();

    public Task<AgentStream> NextStreamAsync(CancellationToken stop) => _streams.Reader.ReadAsync(stop).AsTask();

    public async ValueTask DisposeAsync()
    {
        using (var now = new CancellationTokenSource())
        {
            await now.CancelAsync();
            await _app.StopAsync(now.Token).ContinueWith(_ => { }, TaskScheduler.Default);
        }
        await _app.DisposeAsync();
        if (_ownsAuthority)
            _authority.Dispose();
    }

    private bool IsOurs(X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(_authority.Certificate);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
    }

    private sealed class EnrolmentService(ScriptedControlPlane plane) : Enrolment.EnrolmentBase
    {
        public override Task<AuthorityReply> Authority(AuthorityRequest request, ServerCallContext context) =>
            Task.FromResult(new AuthorityReply { AuthorityPem = plane.ShownAuthority.ExportCertificatePem() });

        public override Task<EnrolReply> Enrol(EnrolRequest request, ServerCallContext context)
        {
            plane.Enrolments.Enqueue(request);
            if (request.Token != GoodToken)
                throw new RpcException(new Status(StatusCode.Unauthenticated, "The token was used already."));
            return Task.FromResult(plane.Issue(request.SigningRequest.ToByteArray()));
        }
    }

    private EnrolReply Issue(byte[] signingRequest) => new()
    {
        HostId = HostId,
        CertificatePem = _authority.IssueClient(signingRequest, HostId, Life.From, Life.Until),
        AuthorityPem = _authority.Certificate.ExportCertificatePem(),
        NotAfter = Life.Until.ToUnixTimeMilliseconds(),
    };

    private sealed class LinkService(ScriptedControlPlane plane) : AgentLink.AgentLinkBase
    {
        public override async Task Attach(IAsyncStreamReader<AgentMessage> requestStream, IServerStreamWriter<ControlMessage> responseStream, ServerCallContext context)
        {
            var stream = new AgentStream(requestStream, responseStream, Certificate(context).SerialNumber);
            await plane._streams.Writer.WriteAsync(stream);
            await stream.Closed.WaitAsync(context.CancellationToken);
        }

        public override Task<EnrolReply> Renew(RenewRequest request, ServerCallContext context)
        {
            _ = Certificate(context);
            plane.Life = (TestAuthority.Start, TestAuthority.Start.AddDays(90));
            return Task.FromResult(plane.Issue(request.SigningRequest.ToByteArray()));
        }

        private static X509Certificate2 Certificate(ServerCallContext context) =>
            context.GetHttpContext().Connection.ClientCertificate ?? throw new RpcException(new Status(StatusCode.Unauthenticated, "No client certificate."));
    }
}
