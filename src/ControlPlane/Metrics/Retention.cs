using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Metrics;

/// <summary>Once an hour: makes tomorrow's partition and lets go of what is older than anybody asked to keep.</summary>
internal sealed partial class Retention(
    MetricPartitions partitions, IDbContextFactory<ControlPlaneContext> contexts, IOptions<ControlPlaneOptions> options, TimeProvider time, ILogger<Retention> logger) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                await RunAsync(stoppingToken);
            }
            catch (Exception e) when (DatabaseTrouble.Is(e))
            {
                LogFailed(logger, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    public async Task RunAsync(CancellationToken ct)
    {
        var now = time.GetUtcNow();
        var today = DateOnly.FromDateTime(now.UtcDateTime);
        await partitions.EnsureAsync(today, ct);
        await partitions.EnsureAsync(today.AddDays(1), ct);
        var dropped = await partitions.DropBeforeAsync(today.AddDays(-options.Value.MetricsDays), ct);
        var oldest = now.AddDays(-options.Value.HistoryDays);
        await using var db = await contexts.CreateDbContextAsync(ct);
        var events = await db.Events.Where(e => e.Time < oldest).ExecuteDeleteAsync(ct);
        var operations = await db.Operations.Where(o => o.FinishedAt < oldest).ExecuteDeleteAsync(ct);
        await db.EnrolmentTokens.Where(t => t.ExpiresAt < oldest).ExecuteDeleteAsync(ct);
        await db.Audit.Where(a => a.Time < oldest).ExecuteDeleteAsync(ct);
        await db.IdempotencyKeys.Where(k => k.CreatedAt < now - Idempotency.RepeatableRequests.Kept).ExecuteDeleteAsync(ct);
        if (dropped + events + operations > 0)
            LogDropped(logger, dropped, events, operations);
    }

    [LoggerMessage(1511, LogLevel.Information, "Let go of {Days} days of metrics, {Events} events and {Operations} operations.")]
    private static partial void LogDropped(ILogger logger, int days, int events, int operations);

    [LoggerMessage(1512, LogLevel.Error, "Old rows could not be let go of; trying again in an hour.")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
