using System.Security.Claims;
using Exitless.Contracts;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Live;
using Exitless.ControlPlane.Metrics;
using Grpc.Core;
using Microsoft.AspNetCore.Authorization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using VmState = Exitless.ControlPlane.Api.VmState;

namespace Exitless.ControlPlane.Link;

/// <summary>The one stream of each host.</summary>
[Authorize(AuthenticationSchemes = AgentCertificateHandler.SchemeName, Policy = AgentCertificateHandler.Policy)]
internal sealed partial class AgentLinkService(
    LinkRegistry links, IDbContextFactory<ControlPlaneContext> contexts, ChangeRunner runner, StoredStateIntake stored, InventoryIntake inventories, ReportIntake reports, ObservedIntake observed, WantedStateReader wanted,
    MetricsWriter metrics, LiveStreams live, ChangeFeed feed, EnrolmentService enrolment, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<AgentLinkService> logger) : AgentLink.AgentLinkBase
{
    /// <summary>The protocol that both sides of the link speak.</summary>
    public const uint Protocol = 1;

    /// <summary>An agent says something every 5 s; three such silences in a row mean that it is gone.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);

    private static readonly WriteOptions Gathered = new(WriteFlags.BufferHint);

    public override async Task<EnrolReply> Renew(RenewRequest request, ServerCallContext context)
    {
        var host = HostOf(context);
        var reply = await runner.RunAsync(async (db, changes) =>
        {
            var row = await db.LockHostAsync(host, context.CancellationToken) ?? throw new RpcException(new Status(StatusCode.PermissionDenied, "This host was removed."));
            changes.Tell(db, "certificate-renewed", EventSeverity.Info, $"{row.Name} has a new certificate.", (row.Id, row.Name));
            changes.Announce(ChangeKind.Host, row.Id);
            return enrolment.Issue(db, host, request.SigningRequest.ToByteArray());
        }, context.CancellationToken);
        return reply;
    }

    public override async Task Attach(IAsyncStreamReader<AgentMessage> requestStream, IServerStreamWriter<ControlMessage> responseStream, ServerCallContext context)
    {
        var hostId = HostOf(context);
        var serial = context.GetHttpContext().User.FindFirstValue(ClaimTypes.SerialNumber) ?? "";
        using var silence = new SilenceWatch(Silence, time);
        using var opening = CancellationTokenSource.CreateLinkedTokenSource(silence.Token, context.CancellationToken, lifetime.ApplicationStopping);
        var hello = await HelloAsync(requestStream, hostId, opening.Token);
        var (name, recovers) = await OpenAsync(hostId, hello, context.CancellationToken);

        using var link = new HostLink(hostId, name, serial) { TakesAcks = hello.TakesAcks };
        using var either = CancellationTokenSource.CreateLinkedTokenSource(link.Closed, silence.Token, context.CancellationToken, lifetime.ApplicationStopping);
        var ct = either.Token;
        links.Open(link);
        LogConnected(logger, name, hostId, hello.AgentVersion);
        try
        {
            var welcome = await WelcomeAsync(hostId, serial, ct);
            welcome.SendStored = recovers;
            link.Send(new ControlMessage { Welcome = welcome });
            live.LinkUp(link);
            var writing = WriteAsync(link, responseStream, ct);
            if (recovers)
                await RecoverAsync(hostId, hello, requestStream, ct);
            var telling = TellAsync(link, ct);
            var reading = ReadAsync(link, requestStream, silence, ct);
            var first = await Task.WhenAny(reading, writing, telling);
            await either.CancelAsync();
            // Nothing may use the streams after this method has returned.
            await Task.WhenAll(reading, writing, telling).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await first;
        }
        catch (OperationCanceledException) when (link.CloseStatus is { } status)
        {
            throw new RpcException(status);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, "The control plane is stopping."));
        }
        catch (OperationCanceledException) when (silence.IsOver)
        {
            throw new RpcException(new Status(StatusCode.DeadlineExceeded, $"Nothing was heard from the agent for {Silence.TotalSeconds:0} s."));
        }
        catch (Exception e) when (e is IOException or OperationCanceledException || context.CancellationToken.IsCancellationRequested)
        {
            // The agent is gone; it dials again.
        }
        finally
        {
            if (links.Remove(link))
                await LostAsync(link);
        }
    }

    private static Guid HostOf(ServerCallContext context) => Guid.Parse(context.GetHttpContext().User.FindFirstValue(ClaimTypes.NameIdentifier)!);

    private static async Task<Hello> HelloAsync(IAsyncStreamReader<AgentMessage> requests, Guid hostId, CancellationToken ct)
    {
        if (!await requests.MoveNext(ct) || requests.Current.Hello is not { } hello)
            throw new RpcException(new Status(StatusCode.InvalidArgument, "The link's first message must be Hello."));
        if (hello.Protocol != Protocol)
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"The agent speaks protocol {hello.Protocol} and this control plane speaks {Protocol}. Install the {(hello.Protocol < Protocol ? "agent" : "control plane")} anew."));
        if (!Guid.TryParse(hello.HostId, out var said) || said != hostId)
            throw new RpcException(new Status(StatusCode.PermissionDenied, $"The agent says that it is host '{hello.HostId}', and its certificate is of host '{hostId}'. Each host needs the certificate it enrolled for; enrol this one with a new token."));
        return hello;
    }

    private async Task RecoverAsync(Guid hostId, Hello hello, IAsyncStreamReader<AgentMessage> requests, CancellationToken ct)
    {
        if (!await requests.MoveNext(ct) || requests.Current.Stored is not { } copy)
            throw new RpcException(new Status(StatusCode.FailedPrecondition, $"The database is older than what this host was last told (generation {hello.WantedGeneration}), and agent {hello.AgentVersion} cannot hand its copy over. Install this version's agent; its VMs run on meanwhile."));
        await stored.TakeAsync(hostId, copy, ct);
    }

    private Task<(string Name, bool Recovers)> OpenAsync(Guid hostId, Hello hello, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        var host = await db.LockHostAsync(hostId, ct) ?? throw new RpcException(new Status(StatusCode.PermissionDenied, "This host was removed. Enrol it again with a new token."));
        host.Name = hello.HostName.Length is > 0 and <= 253 ? LinkMapping.Clean(hello.HostName) : host.Name;
        host.AgentVersion = LinkMapping.Clean(hello.AgentVersion);
        var vms = await db.Vms.Where(v => v.HostId == hostId).ToListAsync(ct);
        if (host.BootId.Length > 0 && host.BootId != hello.BootId)
        {
            changes.Tell(db, "host-booted", EventSeverity.Info, $"{host.Name} has started anew.", (host.Id, host.Name));
            // What was running is not any more; what is, the host says next.
            foreach (var vm in vms)
                (vm.State, vm.ProcessId, vm.StartedAt) = (VmState.Unknown, null, null);
        }
        host.BootId = LinkMapping.Clean(hello.BootId);
        host.LastSeenAt = changes.Now;
        changes.Tell(db, "host-connected", EventSeverity.Info, $"{host.Name} is connected (agent {host.AgentVersion}).", (host.Id, host.Name));
        changes.Announce(ChangeKind.Host, hostId);
        foreach (var vm in vms)
            changes.Announce(ChangeKind.Vm, vm.Id);
        return (host.Name, StoredStateIntake.IsNeeded(host, hello.WantedGeneration));
    }, ct);

    private async Task<Welcome> WelcomeAsync(Guid hostId, string serial, CancellationToken ct)
    {
        await using var db = await contexts.CreateDbContextAsync(ct);
        // Looked at again now that the link can be found and closed: a revocation in between would have missed it.
        if (await db.AgentCertificates.AnyAsync(c => c.Serial == serial && c.RevokedAt != null, ct))
            throw new RpcException(new Status(StatusCode.Unauthenticated, "This certificate was revoked. Enrol the host again with a new token if it shall come back."));
        var welcome = new Welcome { Time = time.GetUtcNow().ToUnixTimeMilliseconds(), TakesMany = true };
        foreach (var (vm, through) in await metrics.ThroughAsync(hostId, ct))
            welcome.Acknowledged.Add(new SampleAck { VmId = vm.ToString("D"), Through = through });
        return welcome;
    }

    private async Task TellAsync(HostLink link, CancellationToken ct)
    {
        var sent = -1L;
        link.WakeWanted();
        await foreach (var _ in link.WantedWakes.ReadAllAsync(ct))
        {
            if (await wanted.TakeAsync(link.HostId, sent, ct) is not { } state)
                continue;
            sent = (long)state.Generation;
            link.Send(new ControlMessage { Wanted = state });
            LogTold(logger, link.HostName, sent, state.Vms.Count);
        }
    }

    private static async Task WriteAsync(HostLink link, IServerStreamWriter<ControlMessage> responses, CancellationToken ct)
    {
        await foreach (var message in link.Outgoing.ReadAllAsync(ct))
        {
            // What is followed by more goes out with it: acknowledgements come in handfuls.
            responses.WriteOptions = link.Outgoing.TryPeek(out var _) ? Gathered : null;
            await responses.WriteAsync(message, ct);
        }
    }

    private async Task ReadAsync(HostLink link, IAsyncStreamReader<AgentMessage> requests, SilenceWatch silence, CancellationToken ct)
    {
        while (await requests.MoveNext(ct))
        {
            silence.Heard();
            await TakeAsync(link, requests.Current, ct);
            silence.Listen();
        }
    }

    private async Task TakeAsync(HostLink link, AgentMessage message, CancellationToken ct)
    {
        switch (message.BodyCase)
        {
            case AgentMessage.BodyOneofCase.Inventory:
                await inventories.TakeAsync(link.HostId, message.Inventory, ct);
                break;
            case AgentMessage.BodyOneofCase.Report:
                await reports.TakeAsync(link.HostId, message.Report, ct);
                break;
            case AgentMessage.BodyOneofCase.Foreign:
                var none = link.ObservedVms.Count == 0 && message.Foreign.Vms.Count == 0;
                link.ObservedVms = LinkMapping.ForeignVms(message.Foreign, time.GetUtcNow());
                if (!none)
                    feed.Publish(new Change(ChangeKind.Host, link.HostId));
                break;
            case AgentMessage.BodyOneofCase.Observed:
                await observed.TakeAsync(link.HostId, LinkMapping.Observed(message.Observed), ct);
                break;
            case AgentMessage.BodyOneofCase.Schema when Guid.TryParse(message.Schema.VmId, out var vm):
                link.SetSchema(vm, message.Schema.SchemaId, RowSchema.Of(LinkMapping.Series(message.Schema)));
                break;
            case AgentMessage.BodyOneofCase.Rows when Guid.TryParse(message.Rows.VmId, out var vm):
                await TakeRowsAsync(link, vm, message.Rows, ct);
                break;
            case AgentMessage.BodyOneofCase.Many:
                foreach (var rows in message.Many.Rows)
                {
                    if (Guid.TryParse(rows.VmId, out var one))
                        await TakeRowsAsync(link, one, rows, ct);
                }
                break;
            case AgentMessage.BodyOneofCase.Console when Guid.TryParse(message.Console.VmId, out var vm):
                if (await OwnsAsync(link, vm, ct))
                    live.Console(vm, message.Console.Offset, message.Console.Data.Memory);
                break;
            case AgentMessage.BodyOneofCase.Event:
                await TakeEventAsync(link, message.Event, ct);
                break;
        }
    }

    private async Task TakeRowsAsync(HostLink link, Guid vm, SampleRows rows, CancellationToken ct)
    {
        if (link.Schema(vm, rows.SchemaId) is not { } schema)
            throw new RpcException(new Status(StatusCode.InvalidArgument, $"Rows of VM {vm} use schema {rows.SchemaId}, which was not announced on this link."));
        if (rows.Kind == RowKind.Stored)
        {
            if (await OwnsAsync(link, vm, ct))
                await metrics.WriteAsync(new MetricBatch(link, vm, schema, [.. rows.Rows]), ct);
            else if (rows.Rows.Count > 0)
                link.Send(new ControlMessage { Ack = new SampleAck { VmId = rows.VmId, Through = rows.Rows[^1].Time } });
        }
        else if (await OwnsAsync(link, vm, ct))
        {
            live.Rows(vm, schema.Series, rows.Kind == RowKind.Backfill, rows.Rows);
        }
    }

    /// <summary>Whether a VM is this host's. A host can say nothing about another's.</summary>
    private async Task<bool> OwnsAsync(HostLink link, Guid vm, CancellationToken ct)
    {
        if (link.KnownVms.ContainsKey(vm))
            return true;
        await using var db = await contexts.CreateDbContextAsync(ct);
        // All at once: who sends rows of one sends rows of all.
        foreach (var own in await db.Vms.Where(v => v.HostId == link.HostId).Select(v => v.Id).ToListAsync(ct))
            link.KnownVms[own] = true;
        return link.KnownVms.ContainsKey(vm);
    }

    private Task TakeEventAsync(HostLink link, AgentEvent e, CancellationToken ct) => runner.RunAsync(async (db, changes) =>
    {
        (Guid, string)? vm = Guid.TryParse(e.VmId, out var id) && await db.Vms.Where(v => v.Id == id && v.HostId == link.HostId).Select(v => v.Name).SingleOrDefaultAsync(ct) is { } name ? (id, name) : null;
        var severity = e.Severity switch { "error" => EventSeverity.Error, "warning" => EventSeverity.Warning, _ => EventSeverity.Info };
        changes.Tell(db, LinkMapping.Clean(e.Kind), severity, LinkMapping.Clean(e.Message), (link.HostId, link.HostName), vm, LinkMapping.Text(e.Device), at: LinkMapping.Time(e.Time));
    }, ct);

    private async Task LostAsync(HostLink link)
    {
        LogLost(logger, link.HostName, link.HostId, link.CloseStatus?.Detail);
        live.LinkDown(link);
        try
        {
            await runner.RunAsync(async (db, changes) =>
            {
                if (await db.LockHostAsync(link.HostId, CancellationToken.None) is not { } host)
                    return;
                host.LastSeenAt = changes.Now;
                changes.Tell(db, "host-disconnected", EventSeverity.Warning, $"{link.HostName} is not connected any more.", (host.Id, host.Name));
                changes.Announce(ChangeKind.Host, host.Id);
                foreach (var vm in await db.Vms.Where(v => v.HostId == link.HostId).Select(v => v.Id).ToListAsync())
                    changes.Announce(ChangeKind.Vm, vm);
            }, CancellationToken.None);
        }
        catch (Exception e) when (DatabaseTrouble.Is(e) || e is InvalidOperationException)
        {
            LogNotNoted(logger, link.HostName, e);
        }
    }

    [LoggerMessage(1401, LogLevel.Information, "{HostName} ({HostId}) is connected, agent {Version}.")]
    private static partial void LogConnected(ILogger logger, string hostName, Guid hostId, string version);

    [LoggerMessage(1402, LogLevel.Information, "{HostName} ({HostId}) is not connected any more. {Reason}")]
    private static partial void LogLost(ILogger logger, string hostName, Guid hostId, string? reason);

    [LoggerMessage(1403, LogLevel.Information, "{HostName} was sent wanted generation {Generation} with {Vms} VMs.")]
    private static partial void LogTold(ILogger logger, string hostName, long generation, int vms);

    [LoggerMessage(1404, LogLevel.Warning, "The loss of {HostName} could not be noted.")]
    private static partial void LogNotNoted(ILogger logger, string hostName, Exception exception);
}
