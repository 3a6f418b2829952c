using Exitless.Browser;
using Microsoft.Playwright;

namespace Exitless.Benchmarks.Dashboard;

/// <summary>How long people wait. Milliseconds, the median and the longest of several times.</summary>
/// <param name="FirstRow">From a visit of the hosts page, warm, to its first row.</param>
/// <param name="Overview">From a visit of the overview, warm, to its figures.</param>
/// <param name="Scroll">From a scroll to another part of the list of VMs to rows of that part.</param>
/// <param name="Filter">From the last key of a search to its rows.</param>
/// <param name="Sort">From a press on a heading to the rows in the new order.</param>
internal sealed record PageFigures(Waits FirstRow, Waits Overview, Waits Scroll, Waits Filter, Waits Sort)
{
    private const int Times = 9;

    // The page's own clock, from the moment of the act to the frame in which its outcome stands.
    private const string UntilText = """
        ([act, argument]) => new Promise(resolve => {
          const first = () => document.querySelector('[data-testid=list-row]')?.textContent;
          const list = document.querySelector('.list-scroll');
          const before = first();
          const started = performance.now();
          const settled = act === 'scroll'
            ? () => { const top = list.getBoundingClientRect(); const at = document.elementFromPoint(top.left + 40, top.top + top.height / 2)?.closest('[data-testid=list-row]'); return at != null && Math.abs(list.scrollTop - argument) < 2; }
            : () => first() !== undefined && first() !== before;
          const look = () => settled() ? resolve(performance.now() - started) : requestAnimationFrame(look);
          if (act === 'scroll') list.scrollTop = argument;
          else if (act === 'click') document.querySelector(argument).click();
          else { const input = document.querySelector('[data-testid=list-search]'); input.value = argument; input.dispatchEvent(new Event('input', { bubbles: true })); }
          requestAnimationFrame(look);
        })
        """;

    public static async Task<PageFigures> MeasureAsync(Chromium browser, Uri address, string password)
    {
        var page = await browser.SignedInAsync(address, password);
        var firstRow = await VisitsAsync(page, "/hosts", "host-link");
        var overview = await VisitsAsync(page, "/", "tile-hosts");
        await page.GotoAsync("/vms");
        await page.GetByTestId("vm-link").First.WaitForAsync();
        var random = new Random(1);
        var (scroll, filter, sort) = (new List<double>(), new List<double>(), new List<double>());
        for (var i = 0; i < Times; i++)
            scroll.Add(await ActAsync(page, "scroll", random.Next(10_000, 3_000_000)));
        await page.GotoAsync("/vms");
        await page.GetByTestId("vm-link").First.WaitForAsync();
        for (var i = 0; i < Times; i++)
            filter.Add(await ActAsync(page, "search", i % 2 == 0 ? $"many-0{i}9" : $"many-00{i}"));
        await page.GotoAsync("/vms");
        await page.GetByTestId("vm-link").First.WaitForAsync();
        foreach (var column in new[] { "memory", "memory", "host", "host", "state", "vcpus", "vcpus", "name", "name" })
            sort.Add(await ActAsync(page, "click", $"[data-testid=sort-{column}]"));
        await page.Context.CloseAsync();
        return new PageFigures(new Waits(firstRow), new Waits(overview), new Waits(scroll), new Waits(filter), new Waits(sort));
    }

    private static Task<double> ActAsync(IPage page, string act, object argument) => page.EvaluateAsync<double>(UntilText, new object[] { act, argument });

    private static async Task<List<double>> VisitsAsync(IPage page, string path, string ready)
    {
        var waits = new List<double>();
        // The first is not warm.
        for (var i = 0; i <= Times; i++)
        {
            await page.GotoAsync("about:blank");
            await page.GotoAsync(path, new PageGotoOptions { WaitUntil = WaitUntilState.Commit });
            var at = await page.EvaluateAsync<double>("""
                ready => new Promise(resolve => {
                  const look = () => document.querySelector(`[data-testid=${ready}]`) !== null ? resolve(performance.now()) : requestAnimationFrame(look);
                  look();
                })
                """, ready);
            if (i > 0)
                waits.Add(at);
        }
        return waits;
    }
}

/// <summary>Several waits for the same thing, in milliseconds.</summary>
internal sealed record Waits(IReadOnlyList<double> All)
{
    public double Median => All.Order().ElementAt(All.Count / 2);

    public double Longest => All.Max();
}
