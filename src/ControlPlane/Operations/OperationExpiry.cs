using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Exitless.ControlPlane.Link;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Operations;

/// <summary>Lets no operation be in progress for ever: one whose time is over fails, with the reason it was waiting for.</summary>
internal sealed partial class OperationExpiry(
    ChangeRunner runner, IDbContextFactory<ControlPlaneContext> contexts, LinkRegistry links, IOptions<ControlPlaneOptions> options, TimeProvider time, ILogger<OperationExpiry> logger)
    : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await ExpireAsync(stoppingToken);
            }
            catch (Exception e) when (DatabaseTrouble.Is(e))
            {
                LogFailed(logger, e);
            }
        }
    }

    /// <summary>Fails every operation whose time is over.</summary>
    public async Task ExpireAsync(CancellationToken ct)
    {
        var now = time.GetUtcNow();
        await using var db = await contexts.CreateDbContextAsync(ct);
        var over = await db.Operations.AsNoTracking().Where(o => o.FinishedAt == null && o.ExpiresAt <= now).Select(o => new { o.Id, o.HostId }).ToListAsync(ct);
        foreach (var operation in over)
            await runner.RunAsync((d, changes) => ExpireAsync(d, changes, operation.HostId, operation.Id, ct), ct);
    }

    private async Task ExpireAsync(ControlPlaneContext db, Changes changes, Guid hostId, Guid operationId, CancellationToken ct)
    {
        if (await db.LockHostAsync(hostId, ct) is not { } host)
            return;
        var operation = await db.Operations.SingleAsync(o => o.Id == operationId, ct);
        if (operation.FinishedAt is not null)
            return;
        var limit = operation.ExpiresAt - operation.CreatedAt;
        var told = operation.Generation <= host.OfferedGeneration;
        var last = operation.Steps is [.., var end] ? end : null;
        var problem = (told, links.IsConnected(hostId)) switch
        {
            (false, _) => new ProblemDto("host-not-connected", $"{host.Name} was not connected for {limit}.", $"The host {(host.LastSeenAt is { } seen ? $"was last seen {seen:u}" : "has never been seen")}; it was never told, and what was asked has been taken back.", "Look after the host and its agent, then ask again.", null),
            (true, false) => new ProblemDto("host-lost", $"{host.Name} was lost while it worked on it.", $"It did not report an end within {limit}{(last is null ? "" : $"; its last step was '{last.Name}'")}. It may still finish it when it is back.", "Look after the host and its agent; the VM's state follows as soon as it is back.", null),
            (true, true) => new ProblemDto("operation-expired", "It took too long.", $"{host.Name} did not report an end within {limit}{(last is null ? "" : $"; its last step was '{last.Name}'")}.", "Read the agent's log on the host, then ask again.", null),
        };
        if (!told)
            await OperationEnding.TakeBackAsync(db, changes, host, operation, options.Value.OperationLimit, ct);
        await OperationEnding.EndAsync(db, changes, host, operation, OperationState.Failed, problem, ct);
    }

    [LoggerMessage(1301, LogLevel.Error, "Operations could not be expired; trying again.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
