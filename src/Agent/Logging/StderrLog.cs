using Microsoft.Extensions.Logging;

namespace Exitless.Agent.Logging;

/// <summary>Writes a line a message to standard error, with the priority that systemd's journal reads (sd-daemon(3)) when it is the reader, and the time when it is not.</summary>
internal sealed class StderrLog(TimeProvider time, TextWriter output, bool forJournal) : ILoggerFactory
{
    private readonly Lock _gate = new();

    public static StderrLog Create(TimeProvider time) =>
        new(time, Console.Error, Environment.GetEnvironmentVariable("JOURNAL_STREAM") is not null);

    public ILogger CreateLogger(string categoryName) => new CategoryLog(this);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("The agent logs to standard error only.");

    public void Dispose()
    {
    }

    private void Write(LogLevel level, string message, Exception? exception)
    {
        var prefix = forJournal
            ? level switch { LogLevel.Critical => "<2>", LogLevel.Error => "<3>", LogLevel.Warning => "<4>", LogLevel.Information => "<6>", _ => "<7>" }
            : time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ ") + level switch
            {
                LogLevel.Critical => "critical: ",
                LogLevel.Error => "error: ",
                LogLevel.Warning => "warning: ",
                _ => "",
            };
        lock (_gate)
            output.WriteLine(exception is null ? prefix + message : $"{prefix}{message} ({exception.GetType().Name}: {exception.Message})");
    }

    private sealed class CategoryLog(StderrLog log) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                log.Write(logLevel, formatter(state, exception), exception);
        }
    }
}
