using System.Text;
using Exitless.Agent.GuestCounts;
using Exitless.Agent.Telemetry;
using Exitless.Contracts;
using Exitless.Linux;
using Exitless.Linux.Interrupts;
using Microsoft.Extensions.Time.Testing;

namespace Exitless.Agent.Tests.GuestCounts;

/// <summary>What the guest says by its own addresses becomes columns by the host's, on a recorded host.</summary>
public sealed class GuestColumnsTests : IDisposable
{
    private const string Vf = "0000:01:10.0", Other = "0000:01:10.2";
    private readonly TemporaryFolder _folder = new();
    private readonly FakeTimeProvider _time = new();
    private readonly GuestWord _word;
    private readonly VfioInterrupts _interrupts;
    private readonly VectorColumns _vectors;
    private readonly GuestColumns _columns;

    public GuestColumnsTests()
    {
        Directory.CreateDirectory(_folder.File("proc"));
        Host((Vf, 0), (Vf, 1), (Other, 0));
        _word = new GuestWord(_time);
        _interrupts = new VfioInterrupts(new HostRoot(_folder.Path));
        _vectors = new VectorColumns(_interrupts, [Vf, Other]);
        // A VMM of before says no address of the second.
        _columns = new GuestColumns(_word, new Dictionary<string, string>(StringComparer.Ordinal) { [Vf] = "0000:00:02.1" });
    }

    public void Dispose()
    {
        _vectors.Dispose();
        _interrupts.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void Columns_come_with_the_report_that_first_has_the_vector_and_stay()
    {
        Assert.True(Read());
        Assert.Equal([("guest.reports", 0), ("guest.age_ms", -1)], Row());
        Say("0000:00:02.1/1=17 0000:00:02.0/0=99 0000:00:03.0/0=98");
        _time.Advance(TimeSpan.FromMilliseconds(400));
        Assert.True(Read());
        Assert.Equal([($"guest.{Vf}.msix.1", 17), ("guest.reports", 1), ("guest.age_ms", 400)], Row());
        Assert.False(Read());
        Say("0000:00:02.1/0=5 0000:00:02.1/1=18");
        Assert.True(Read());
        Assert.Equal([($"guest.{Vf}.msix.0", 5), ($"guest.{Vf}.msix.1", 18), ("guest.reports", 2), ("guest.age_ms", 0)], Row());
        Say("0000:00:02.1/0=6");   // its driver gave vector 1 back
        Assert.False(Read());
        Assert.Equal([($"guest.{Vf}.msix.0", 6), ($"guest.{Vf}.msix.1", 0), ("guest.reports", 3), ("guest.age_ms", 0)], Row());
    }

    [Fact]
    public void They_go_with_the_hosts_vectors()
    {
        Say("0000:00:02.1/0=5 0000:00:02.1/1=18");
        Assert.True(Read());
        Host((Vf, 1));
        Assert.True(Read());
        Assert.Equal([($"guest.{Vf}.msix.1", 18), ("guest.reports", 1), ("guest.age_ms", 0)], Row());
    }

    private void Say(string vectors) => Assert.True(_word.TryAdd(Encoding.ASCII.GetBytes($"exitless-interrupts 1 {vectors}\n")));

    private bool Read()
    {
        _interrupts.Next();
        return _columns.Read(_vectors, _vectors.Read());
    }

    private List<(string Key, long Value)> Row()
    {
        var schema = new SampleSchema();
        _columns.AddTo(schema);
        var row = new long[_columns.Count];
        _columns.Write(row);
        return [.. schema.Series.Select((series, i) => (series.Key, row[i]))];
    }

    private void Host(params (string Address, int Vector)[] vectors) => File.WriteAllText(_folder.File("proc/interrupts"),
        "           CPU0\n" + string.Concat(vectors.Select((v, i) => $"  {45 + i}:          1  IR-PCI-MSIX-{v.Address}    {v.Vector}-edge      vfio-msix[{v.Vector}]({v.Address})\n")));
}
