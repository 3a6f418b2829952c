namespace Exitless.Agent.Tests;

/// <summary>How long a test waits for what must come. Never reached when all is well, whatever else the machine does.</summary>
internal static class Limit
{
    public static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    public static Task<T> Within<T>(this Task<T> task) => task.WaitAsync(Time, TestContext.Current.CancellationToken);

    public static Task Within(this Task task) => task.WaitAsync(Time, TestContext.Current.CancellationToken);
}
