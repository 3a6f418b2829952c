using Exitless.Lab.Cache;

namespace Exitless.Lab.Tests.Cache;

public sealed class KeptFoldersTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly Clock _clock = new();

    private string Parent => Path.Combine(_folder.Path, "eli");

    private KeptFolders Kept => new(Parent, 2, _clock);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_ones_used_last_stay()
    {
        Build("a");
        Build("b");
        Assert.True(Kept.Use("a"));
        _clock.Step();
        Build("c");
        Assert.Equal(["a", "c"], Names());
        Assert.False(Kept.Use("b"));
        Build("b");
        Assert.Equal(["b", "c"], Names());
    }

    [Fact]
    public void What_a_broken_off_building_left_goes_and_takes_nobodys_place()
    {
        Build("a");
        Build("b");
        File.WriteAllText(Path.Combine(Kept.Begin("c"), "kvm.ko"), "half");
        Assert.Equal(["a", "b", "c.part"], Names());
        Assert.False(Kept.Use("c"));
        Assert.Empty(Directory.GetFileSystemEntries(Kept.Begin("c")));
        Kept.Begin("d");
        Assert.Equal(["a", "b", "d.part"], Names());
    }

    private void Build(string version)
    {
        Assert.Equal(Kept.PathOf(version) + KeptFolders.Unfinished, Kept.Begin(version));
        Kept.Finish(version);
        _clock.Step();
    }

    private IEnumerable<string?> Names() => Directory.GetDirectories(Parent).Select(Path.GetFileName).Order(StringComparer.Ordinal);

    private sealed class Clock : TimeProvider
    {
        private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public void Step() => _now += TimeSpan.FromMinutes(1);

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
