using Exitless.ControlPlane.Rest.Conventions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;

namespace Exitless.ControlPlane.Rest;

/// <summary>The OpenAPI 3.1 document.</summary>
internal static class ApiDescription
{
    public const string DocumentPath = "/openapi/{documentName}.json";
    public const string ReferencePath = "/reference";

    public static void AddApiDescription(this IServiceCollection services) => services.AddOpenApi("v1", options =>
    {
        options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
        options.ShouldInclude = d => d.RelativePath?.StartsWith("api/v1", StringComparison.Ordinal) == true;
        options.AddOperationTransformer(OperationDescription.DescribeAsync);
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo { Title = "Exitless", Version = "v1", Description = "Hosts, devices, VMs, operations, metrics and events of an Exitless control plane. Changes answer 202 with an operation; failures are RFC 9457 problems with 'code', 'remedy' and 'errors'." };
            // The document is the same wherever it is served.
            document.Servers = [];
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>(StringComparer.Ordinal)
            {
                ["bearer"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "An API token, made in the settings or by 'create-token'." },
            };
            document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("bearer", document)] = [] }];
            return Task.CompletedTask;
        });
    });
}
