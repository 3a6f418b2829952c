using System.Buffers;
using System.Text;
using CsCheck;
using Exitless.Agent.GuestCounts;
using Exitless.GuestReporter;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.GuestCounts;

public sealed class GuestReportTests
{
    // Linux 6.12 (a guest of the lab's), then the same vectors as Linux 6.1 shows some, whose numbers hold the function too: 32768 is 2 << 14, device 2; the last is vector 3 of 0003:1a:08.5.
    private const string Recorded = """
                   CPU0       CPU1
          0:         12          0   IO-APIC   2-edge      timer
         24:          3          9  PCI-MSIX-0000:00:02.0   0-edge      eth0-tx-0
         25:        100         17  PCI-MSIX-0000:00:02.0   1-edge      eth0-rx-0
         26:          0          1  IR-PCI-MSIX-0000:00:1f.7   2047-edge      nvme0q3
         27:          5          0  PCI-MSI-0000:00:03.0    0-edge      ahci
         28:          7          1   PCI-MSI 32768-edge      virtio0-config
         29:          2          2   PCI-MSI 416425987-edge      eth1
        NMI:          0          0   Non-maskable interrupts
        ERR:          0
        """;

    [Fact]
    public void The_reporter_finds_every_vector_in_proc_interrupts() =>
        Assert.Equal(
            "exitless-interrupts 1 0000:00:02.0/0=12 0000:00:02.0/1=117 0000:00:1f.7/2047=1 0000:00:03.0/0=5 0000:00:02.0/0=8 0003:1a:08.5/3=4\n",
            ReportOf(Recorded));

    [Fact]
    public void Both_ends_mean_the_same_port() => Assert.Equal((uint)GuestListener.Port, ReportLine.Port);

    [Theory]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=17", 17)]
    [InlineData("exitless-interrupts 1 0000:00:03.0/0=1 0000:00:02.0/1=0", 0)]
    [InlineData("exitless-interrupts 1", null)]
    [InlineData("exitless-interrupts 1 0000:00:02.0/10=17", null)]
    public void A_report_has_counts_by_function_and_vector(string line, int? count)
    {
        var report = new GuestReport();
        Assert.True(GuestReportLine.TryRead(Encoding.ASCII.GetBytes(line), report));
        Assert.Equal(count, report.CountOf(GuestReport.KeyOf(0, 0, 2, 0, 1)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("exitless-interrupts 2 0000:00:02.0/1=17")]     // a version that this agent does not know
    [InlineData("exitless-interrupts 10000:00:02.0/1=17")]
    [InlineData("exitless-interrupts 1 ")]
    [InlineData("exitless-interrupts 1  0000:00:02.0/1=17")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=17 ")]
    [InlineData("exitless-interrupts 1 0000:00:02.8/1=17")]
    [InlineData("exitless-interrupts 1 0000:00:20.0/1=17")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/2048=17")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=-17")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=+17")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=281474976710656")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1=99999999999999999999")]
    [InlineData("exitless-interrupts 1 0000:00:02.0/1")]
    [InlineData("exitless-interrupts 1 0000:00:02.0")]
    public void What_is_no_report_is_refused(string line) => Assert.False(GuestReportLine.TryRead(Encoding.ASCII.GetBytes(line), new GuestReport()));

    [Fact]
    public void A_report_of_too_many_vectors_is_refused()
    {
        static byte[] Line(int vectors) => Encoding.ASCII.GetBytes("exitless-interrupts 1" + string.Concat(Enumerable.Range(0, vectors).Select(v => $" 0000:00:{v >> 11:x2}.0/{v & 2047}=1")));
        Assert.True(GuestReportLine.TryRead(Line(GuestReport.MostVectors), new GuestReport()));
        Assert.False(GuestReportLine.TryRead(Line(GuestReport.MostVectors + 1), new GuestReport()));
    }

    [Fact]
    public void The_longest_report_fits_a_line()
    {
        var longest = "exitless-interrupts 1".Length + GuestReport.MostVectors * (long)$" 0000:00:02.0/2047={GuestReport.MostCount - 1}".Length;
        Assert.InRange(longest, 1, GuestWord.MostBytes);
        Assert.True(longest < GuestListener.MostBytesPerSecond);
    }

    [Fact]
    public void A_line_without_an_end_is_cut_off_at_its_limit()
    {
        var word = new GuestWord(new FakeTimeProvider());
        var part = new byte[GuestWord.MostBytes];
        Assert.True(word.TryAdd(part));
        Assert.False(word.TryAdd(new byte[1]));
    }

    [Fact]
    public void The_newest_report_counts_and_grows_old()
    {
        var time = new FakeTimeProvider();
        var word = new GuestWord(time);
        var counts = new long[2];
        ulong[] keys = [GuestReport.KeyOf(0, 0, 2, 0, 1), GuestReport.KeyOf(0, 0, 2, 0, 2)];
        Assert.Equal((0, -1), word.Read(keys, counts));
        Assert.Equal([-1, -1], counts);
        Assert.True(word.TryAdd("exitless-interrupts 1 0000:00:02.0/1=5 0000:00:02.0/2=6\nexitless-interrupts 1 0000:00:02.0/1=7\nexitless-interr"u8));
        time.Advance(TimeSpan.FromSeconds(2.5));
        Assert.Equal((2, 2500), word.Read(keys, counts));
        Assert.Equal([7, -1], counts);
        word.Begin();   // the rest never came
        Assert.True(word.TryAdd("exitless-interrupts 1 0000:00:02.0/1=8\n"u8));
        Assert.Equal((3, 0), word.Read(keys, counts));
        Assert.Equal([8, -1], counts);
    }

    [Fact]
    public void Whatever_a_guest_sends_nothing_throws_and_nothing_grows()
    {
        string[] known = ["exitless-interrupts 1", " 0000:00:02.0/1=17", "\n", " ", "0000:00:02.0", "/", "=", "99999999999999999999", "ffff:ff:1f.7/2047=281474976710655", "\0"];
        var piece = Gen.OneOf(Gen.Byte.Array[0, 200], Gen.Int[0, known.Length - 1].Select(i => Encoding.ASCII.GetBytes(known[i])));
        piece.Array[0, 40].Sample(
            pieces =>
            {
                var word = new GuestWord(TimeProvider.System);
                var taken = pieces.TakeWhile(bytes => word.TryAdd(bytes)).ToArray();
                var counts = new long[1];
                var (reports, _) = word.Read([GuestReport.KeyOf(0, 0, 2, 0, 1)], counts);
                // It can have taken no more reports than lines came.
                return reports <= taken.Append([(byte)'\n']).Sum(bytes => bytes.Count(b => b == '\n')) && counts[0] is >= -1 and < GuestReport.MostCount;
            },
            iter: 10_000);
    }

    [Fact]
    public void What_the_reporter_writes_is_what_the_agent_reads_however_it_is_cut()
    {
        var vectors = Gen.Select(Gen.Int[0, 31], Gen.Int[0, 7], Gen.Int[0, 2047], Gen.Long[0, GuestReport.MostCount / 4]).Array[0, 60];
        Gen.Select(vectors, Gen.Int[1, 50]).Sample(
            (all, size) =>
            {
                var distinct = all.DistinctBy(v => (v.Item1, v.Item2, v.Item3)).ToArray();
                var text = "            CPU0  CPU1\n" + string.Concat(distinct.Select((v, i) => $"{i,4}: {v.Item4,10} {v.Item4 / 2,10}  PCI-MSIX-0000:00:{v.Item1:x2}.{v.Item2}  {v.Item3}-edge  eth{i}\n"));
                var word = new GuestWord(TimeProvider.System);
                var read = Encoding.ASCII.GetBytes(ReportOf(text)).Chunk(size).All(part => word.TryAdd(part));
                var counts = new long[distinct.Length];
                var (reports, _) = word.Read([.. distinct.Select(v => GuestReport.KeyOf(0, 0, v.Item1, v.Item2, v.Item3))], counts);
                return read && reports == 1 && counts.SequenceEqual(distinct.Select(v => v.Item4 + v.Item4 / 2));
            },
            iter: 2_000);
    }

    private static string ReportOf(string interrupts)
    {
        var output = new ArrayBufferWriter<byte>();
        ReportLine.Write(Encoding.ASCII.GetBytes(interrupts), output);
        return Encoding.ASCII.GetString(output.WrittenSpan);
    }
}
