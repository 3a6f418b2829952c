using System.IO.Compression;
using System.Text;
using Exitless.Lab.Machine;

namespace Exitless.Lab.Tests.Machine;

public sealed class ControlShellTests
{
    private static string Pack(string text)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest))
            gzip.Write(Encoding.UTF8.GetBytes(text));
        return Convert.ToBase64String(packed.ToArray(), Base64FormattingOptions.InsertLineBreaks);
    }

    private static Task<LabShellResult> ReadAsync(string text)
        => ControlShell.ReadResultAsync(new StringReader(text), "b", TestContext.Current.CancellationToken);

    [Fact]
    public async Task A_result_is_read_after_the_rest_of_an_earlier_one()
    {
        var output = "exitless-end b\n" + new string('x', 200) + "ü\n";
        var result = await ReadAsync($"AAAA\nexitless-errors a\nexitless-end a\nexitless-begin b 3\n{Pack(output)}\nexitless-errors b\n{Pack("oops")}\nexitless-end b\n");
        Assert.Equal(new LabShellResult(3, output, "oops"), result);
    }

    [Fact]
    public async Task A_host_that_ends_in_the_middle_is_an_error()
        => await Assert.ThrowsAsync<LabException>(() => ReadAsync("exitless-begin b 0\nAAAA\n"));
}
