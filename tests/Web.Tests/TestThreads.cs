using System.Runtime.CompilerServices;
using Bunit;

namespace Exitless.Web.Tests;

internal static class TestThreads
{
    // bUnit's waits block a pool thread each while the renderer needs another; on two cores the pool would starve before it grows.
    [ModuleInitializer]
    internal static void Raise()
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, 32), completions);
        BunitContext.DefaultWaitTimeout = TimeSpan.FromSeconds(15);
    }
}
