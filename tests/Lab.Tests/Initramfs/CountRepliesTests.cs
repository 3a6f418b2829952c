using Exitless.Lab.Cache;
using Exitless.Lab.Initramfs;

namespace Exitless.Lab.Tests.Initramfs;

/// <summary>The guest's counting of ping replies, run by the very busybox that runs it in the guest.</summary>
public sealed class CountRepliesTests
{
    [Theory]
    [InlineData("0 1 2", "2 3 0 0 - end")]
    [InlineData("0 2", "2 2 0 0 -,1 end")]
    [InlineData("0 2 1 1", "2 3 1 0 - end")]
    [InlineData("0 150", "150 2 0 50 -,… end")]
    [InlineData("0..65535 0 1", "65537 65538 0 0 - end")]
    public async Task Missing_and_doubled_replies_are_told_apart(string sequence, string expected)
    {
        var files = LabFiles.Read(LabCache.Root);
        Assert.SkipWhen(files is null, "The lab's cache is empty; `exitless-lab prepare` fills it.");
        using var folder = new TemporaryFolder();
        var input = folder.Write("input", string.Concat(sequence.Split(' ').SelectMany(Expand).Select(n => $"64 bytes from 10.0.3.2: seq={n} ttl=255 time=1.000 ms\n")));
        var state = Path.Combine(folder.Path, "state");
        var script = folder.Write("count", Script.Read("guest-count-replies"));
        await Tool.TextAsync(files.Busybox, ["awk", "-f", script, "-v", "STATE=" + state, input], "", TestContext.Current.CancellationToken);
        var found = (await File.ReadAllTextAsync(state, TestContext.Current.CancellationToken)).Trim();
        if (expected.Contains('…'))
            found = string.Join(' ', found.Split(' ')[..4]) + " -,… end";
        Assert.Equal(expected, found);
    }

    private static IEnumerable<int> Expand(string word)
        => word.Split("..") is [var first, var last] ? Enumerable.Range(int.Parse(first), int.Parse(last) - int.Parse(first) + 1) : [int.Parse(word)];
}
