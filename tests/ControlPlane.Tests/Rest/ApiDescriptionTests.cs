using System.Text.Json;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Rest;

public sealed class ApiDescriptionTests(TestHost host) : IClassFixture<TestHost>
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public async Task The_description_that_is_checked_in_is_the_one_that_is_served()
    {
        var served = Normal(await host.Http.GetStringAsync(new Uri("/openapi/v1.json", UriKind.Relative), TestContext.Current.CancellationToken));
        var file = Checkout.At("docs/openapi.json");
        var kept = File.Exists(file) ? Normal(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)) : "";
        if (served == kept)
            return;
        await File.WriteAllTextAsync(file + ".received.json", served, TestContext.Current.CancellationToken);
        Assert.Fail("The API's description has changed. If it was meant to, replace docs/openapi.json by docs/openapi.json.received.json.");
    }

    [Fact]
    public async Task The_description_is_strict_and_every_operation_has_words()
    {
        var document = await host.GetAsync("/openapi/v1.json");
        Assert.StartsWith("3.1", document.GetProperty("openapi").GetString(), StringComparison.Ordinal);
        foreach (var path in document.GetProperty("paths").EnumerateObject())
        {
            foreach (var operation in path.Value.EnumerateObject())
                Assert.True(operation.Value.TryGetProperty("summary", out var words) && words.GetString()!.Length > 10, $"{operation.Name} {path.Name} has no summary.");
        }
        var vcpus = document.GetProperty("components").GetProperty("schemas").GetProperty("CreateVmRequest").GetProperty("properties").GetProperty("vcpus");
        Assert.Equal("integer", vcpus.GetProperty("type").GetString());
    }

    [Fact]
    public async Task The_reference_asks_nothing_of_other_sites()
    {
        var page = await host.Http.GetStringAsync(new Uri("/reference/", UriKind.Relative), TestContext.Current.CancellationToken);
        Assert.DoesNotContain("https://", page.Replace("https://127.0.0.1", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    private static string Normal(string json)
    {
        using var document = JsonDocument.Parse(json);
        return JsonSerializer.Serialize(document.RootElement, Indented) + "\n";
    }
}
