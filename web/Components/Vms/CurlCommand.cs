using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Vms;

/// <summary>A form's request as a person would send it by hand.</summary>
internal static class CurlCommand
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>The POST that creates a VM. The token comes from the environment: a command line is seen by others.</summary>
    public static string CreateVm(Uri address, CreateVmRequest request) =>
        $"curl --cacert authority.pem -H \"Authorization: Bearer $EXITLESS_TOKEN\" -H 'Content-Type: application/json' \\\n  -d {Quote(JsonSerializer.Serialize(request, Json))} \\\n  {new Uri(address, "api/v1/vms?wait=30")}";

    // POSIX: within single quotes nothing is special but the quote itself.
    private static string Quote(string text) => $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
