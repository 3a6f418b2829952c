using System.Diagnostics;
using System.Text.Json;
using Exitless.Browser;
using Microsoft.Playwright;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>48 live charts of four series each, once a second, on screen.</summary>
/// <param name="Charts">Charts on screen.</param>
/// <param name="MainThreadPercent">The page's main thread: time in tasks, of the time that passed (Chromium's TaskDuration).</param>
/// <param name="DroppedSeconds">Seconds of which a chart has no sample, of all charts together.</param>
/// <param name="HeapBefore">JavaScript heap after a collection, bytes, when all charts run.</param>
/// <param name="HeapAfter">The same at the end.</param>
internal sealed record WallFigures(int Charts, double MainThreadPercent, int DroppedSeconds, long HeapBefore, long HeapAfter)
{
    // The charts fill up with the seconds that they show; from then on nothing may grow.
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(20);

    public static async Task<WallFigures> MeasureAsync(Chromium browser, Uri address, string password, TimeSpan time)
    {
        var page = await browser.SignedInAsync(address, password, 1920, 1400);
        await page.GotoAsync("/wall?n=48");
        await page.GetByTestId("wall-card").Nth(47).WaitForAsync();
        var cdp = await page.Context.NewCDPSessionAsync(page);
        await cdp.SendAsync("Performance.enable");
        await PauseAsync(Settle);
        var before = await LookAsync(page, cdp);
        var started = Stopwatch.GetTimestamp();
        await PauseAsync(time);
        var busy = (await TasksAsync(cdp) - before.Tasks) / Stopwatch.GetElapsedTime(started).TotalSeconds;
        var after = await LookAsync(page, cdp);
        var dropped = before.Rows.Zip(after.Rows, before.Times.Zip(after.Times, (from, to) => (int)Math.Round((to - from) / 1000))).Sum(card => Math.Max(0, card.Third - (card.Second - card.First)));
        await page.Context.CloseAsync();
        return new WallFigures(after.Rows.Length, busy * 100, dropped, before.Heap, after.Heap);
    }

    private static async Task PauseAsync(TimeSpan time)
    {
        using var pulse = new PeriodicTimer(time);
        await pulse.WaitForNextTickAsync();
    }

    private static async Task<(double Tasks, long Heap, int[] Rows, double[] Times)> LookAsync(IPage page, ICDPSession cdp)
    {
        await cdp.SendAsync("HeapProfiler.collectGarbage");
        var heap = await page.EvaluateAsync<long>("() => performance.memory.usedJSHeapSize");
        var cards = await page.EvaluateAsync<JsonElement>("() => [...document.querySelectorAll('[data-testid=wall-card]')].map(c => [Number(c.dataset.rows), Number(c.dataset.time)])");
        var list = cards.EnumerateArray().ToList();
        return (await TasksAsync(cdp), heap, [.. list.Select(c => c[0].GetInt32())], [.. list.Select(c => c[1].GetDouble())]);
    }

    private static async Task<double> TasksAsync(ICDPSession cdp)
    {
        var metrics = await cdp.SendAsync("Performance.getMetrics");
        return metrics!.Value.GetProperty("metrics").EnumerateArray().Single(m => m.GetProperty("name").GetString() == "TaskDuration").GetProperty("value").GetDouble();
    }
}
