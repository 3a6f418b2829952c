using Exitless.Linux.Tracing;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Tests;

public sealed class HistogramTests
{
    // As Linux 6.12 writes it (kernel/trace/trace_events_hist.c, hist_trigger_show).
    private const string Text = """
        # event histogram
        #
        # trigger info: hist:keys=common_pid,isa,exit_reason:vals=hitcount:sort=hitcount:size=8192 [active]
        #

        { common_pid:        412, isa:          2, exit_reason:        124 } hitcount:       9132
        { common_pid:        413, isa:          2, exit_reason: 4294967295 } hitcount:          1

        Totals:
            Hits: 9133
            Entries: 2
            Dropped: 7
        """;

    [Fact]
    public void Each_key_is_told_with_its_fields_and_its_count()
    {
        var (keys, dropped) = Parse(Text);
        Assert.Equal(["412 2 124: 9132", "413 2 4294967295: 1"], keys);
        Assert.Equal(7, dropped);
    }

    [Fact]
    public void An_empty_histogram_and_broken_lines_are_nothing()
    {
        Assert.Empty(Parse("# event histogram\n#\n\n\nTotals:\n    Hits: 0\n    Entries: 0\n    Dropped: 0\n").Keys);
        Assert.Empty(Parse("{ common_pid: 4").Keys);
        Assert.Empty(Parse("{ common_pid: x } hitcount: 3\n{\n{ }\n{ common_pid: 1 }\n").Keys);
    }

    [Fact]
    public void A_file_that_is_longer_than_the_buffer_is_read_whole_and_again()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(path, Enumerable.Range(1, 3000).Select(i => $"{{ common_pid: {i}, isa: 1, exit_reason: 12 }} hitcount: {i}"));
            using var reader = new HistogramReader(Files.Open(path, OpenMode.Read));
            for (var round = 0; round < 2; round++)
            {
                var sum = 0L;
                reader.Read((_, count) => sum += count);
                Assert.Equal(3000L * 3001 / 2, sum);
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static (List<string> Keys, long Dropped) Parse(string text)
    {
        var keys = new List<string>();
        using var reader = new HistogramReader(new SafeFileHandle(-1, ownsHandle: false));
        reader.Parse(System.Text.Encoding.ASCII.GetBytes(text), (key, count) => keys.Add($"{string.Join(' ', key.ToArray())}: {count}"));
        return (keys, reader.Dropped);
    }
}
