using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Exitless.Web.Tests;

/// <summary>What runs in the browser.</summary>
public sealed partial class BrowserModuleTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task The_modules_pass_their_own_tests()
    {
        var tests = Directory.GetFiles(Path.Combine(WebFolder(), "js"), "*.test.mjs");
        Assert.NotEmpty(tests);
        var start = new ProcessStartInfo("node") { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = WebFolder() };
        start.ArgumentList.Add("--test");
        foreach (var test in tests) start.ArgumentList.Add(test);

        using var node = Process.Start(start)!;
        using var limit = new CancellationTokenSource(Limit);
        var output = node.StandardOutput.ReadToEndAsync(limit.Token);
        var errors = node.StandardError.ReadToEndAsync(limit.Token);
        await node.WaitForExitAsync(limit.Token);

        Assert.True(node.ExitCode == 0, $"node --test left with {node.ExitCode}:\n{await output}\n{await errors}");
    }

    [Fact]
    public void Nothing_that_is_served_reaches_another_site()
    {
        var served = Directory.EnumerateFiles(Path.Combine(WebFolder(), "wwwroot"), "*", SearchOption.AllDirectories)
            .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}lib{Path.DirectorySeparatorChar}", StringComparison.Ordinal))
            .Where(file => Path.GetExtension(file) is ".js" or ".css" or ".html" or ".svg");

        var reaching = served.SelectMany(file => AddressPattern().Matches(File.ReadAllText(file)).Select(match => $"{file}: {match.Value}")).Where(hit => !hit.Contains("www.w3.org", StringComparison.Ordinal));

        Assert.Empty(reaching);
    }

    [Theory]
    [InlineData("uplot/uPlot.esm.js")]
    [InlineData("xterm/xterm.mjs")]
    [InlineData("xterm/addon-fit.mjs")]
    [InlineData("signalr/signalr.min.js")]
    [InlineData("signalr/signalr-protocol-msgpack.min.js")]
    [InlineData("fonts/inter-latin-wght-normal.woff2")]
    public void The_build_has_put_the_libraries_where_the_modules_look(string file) =>
        Assert.True(File.Exists(Path.Combine(WebFolder(), "wwwroot", "lib", file)));

    [GeneratedRegex("https?://[^\\s\"'`)]+", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex AddressPattern();

    private static string WebFolder([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "web"));
}
