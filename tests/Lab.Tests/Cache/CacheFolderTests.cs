using Exitless.Lab.Cache;

namespace Exitless.Lab.Tests.Cache;

public sealed class CacheFolderTests
{
    [Theory]
    [InlineData("/a/cache", "/x", "/a/cache")]
    [InlineData(null, "/x", "/x/exitless")]
    [InlineData(null, "relative", "/home/someone/.cache/exitless")]
    [InlineData("", null, "/home/someone/.cache/exitless")]
    public void The_folder_follows_the_environment(string? own, string? xdg, string expected)
        => Assert.Equal(expected, LabCache.Find(name => name == "EXITLESS_CACHE" ? own : xdg, "/home/someone"));

    [Fact]
    public void Without_a_home_the_remedy_names_the_variable()
        => Assert.Contains("EXITLESS_CACHE", Assert.Throws<LabException>(() => LabCache.Find(_ => null, "")).Remedy);

    [Fact]
    public void A_stamp_counts_only_while_what_it_names_is_there()
    {
        using var cache = new TemporaryFolder();
        cache.Write("qemu/10/usr/bin/qemu-system-x86_64", "");
        cache.Write("linux/6/boot/vmlinuz-6.12.1", "");
        cache.Write("linux/6/usr/lib/modules/6.12.1/modules.builtin", "");
        var busybox = cache.Write("busybox/1/bin/busybox", "");
        cache.Write("ethtool/6/sbin/ethtool", "");
        Directory.CreateDirectory(Path.Combine(cache.Path, "openssl/here"));
        Assert.Null(LabFiles.Read(cache.Path));
        var files = new LabFiles(LabFiles.CurrentRecipe, In("qemu/10"), In("linux/6"), "6.12.1", In("busybox/1"), In("ethtool/6"), In("openssl/here"),
            new Dictionary<string, string>(StringComparer.Ordinal) { ["qemu-system-x86"] = "10" });
        files.Write(cache.Path);
        Assert.Equal(busybox, LabFiles.Read(cache.Path)?.Busybox);
        Assert.EndsWith("usr/lib/modules/6.12.1", LabFiles.Read(cache.Path)?.Modules);
        (files with { Recipe = LabFiles.CurrentRecipe - 1 }).Write(cache.Path);
        Assert.Null(LabFiles.Read(cache.Path));
        files.Write(cache.Path);
        File.Delete(busybox);
        Assert.Null(LabFiles.Read(cache.Path));
        File.WriteAllText(LabFiles.Stamp(cache.Path), "{ broken");
        Assert.Null(LabFiles.Read(cache.Path));

        string In(string part) => Path.Combine(cache.Path, part);
    }

    [Fact]
    public async Task A_filled_cache_needs_neither_apt_nor_network()
    {
        Assert.SkipWhen(LabFiles.Read(LabCache.Root) is null, "The lab's cache is empty; `exitless-lab prepare` fills it.");
        var said = new List<string>();
        await Preparation.EnsureAsync(LabCache.Root, renew: false, said.Add, TestContext.Current.CancellationToken);
        Assert.Empty(said);
    }

    [Fact]
    public void A_lock_is_held_once_and_freed_by_its_holder_s_end()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "lock");
        using (var held = FileLock.TryTake(path))
        {
            Assert.NotNull(held);
            Assert.Null(FileLock.TryTake(path));
        }
        using var again = FileLock.TryTake(path);
        Assert.NotNull(again);
    }

    [Fact]
    public void A_lock_in_a_folder_that_is_not_there_is_an_error_and_not_a_wait()
        => Assert.ThrowsAny<IOException>(() => FileLock.TryTake("/nonexistent/lock"));

    [Fact]
    public void Libraries_are_read_from_ldd_and_ldconfig()
    {
        var needed = SharedLibraries.ParseLdd("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n", "x");
        Assert.Equal(["/lib64/ld-linux-x86-64.so.2", "libm.so.6"], needed.Keys.Order(StringComparer.Ordinal));
        var known = SharedLibraries.ParseCache("\tlibssl.so.3 (libc6,x86-64) => /lib/x86_64-linux-gnu/libssl.so.3\n\tlibssl.so.3 (libc6) => /lib/i386-linux-gnu/libssl.so.3\n");
        Assert.Equal("/lib/x86_64-linux-gnu/libssl.so.3", Assert.Single(known).Value);
        Assert.Contains("libfoo.so.1", Assert.Throws<LabException>(() => SharedLibraries.ParseLdd("\tlibfoo.so.1 => not found\n", "x")).Problem);
    }
}
