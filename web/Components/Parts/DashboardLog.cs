namespace Exitless.Web.Components.Parts;

internal static partial class DashboardLog
{
    [LoggerMessage(EventId = 5001, Level = LogLevel.Error, Message = "{Component} could not read what it shows")]
    public static partial void ReadingFailed(this ILogger logger, Exception exception, string component);

    [LoggerMessage(EventId = 5002, Level = LogLevel.Error, Message = "A change that a person asked for has failed")]
    public static partial void ChangeFailed(this ILogger logger, Exception exception);
}
