using System.Collections;
using System.Text.Json;
using System.Text.Json.Nodes;
using Exitless.ControlPlane.Access;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>What every reading answer has in common: pages of lists, sparse fields, an entity tag, and 304 for whoever has it already.</summary>
internal sealed class ReadFilter : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        if (!HttpMethods.IsGet(http.Request.Method))
            return await next(context);
        var endpoint = http.GetEndpoint()!;
        QueryNames.Check(http, endpoint);
        var result = await next(context);
        if (result is not IValueHttpResult { Value: { } value } || (result as IStatusCodeHttpResult)?.StatusCode is not (null or StatusCodes.Status200OK))
            return result;
        var list = endpoint.Metadata.GetMetadata<ListPromise>();
        var fields = http.Request.Query.TryGetValue("fields", out var asked) ? Fields.Read(list?.Item ?? value.GetType(), asked) : null;
        if (endpoint.Metadata.GetMetadata<InProjectPromise>() is { } inProject && http.Features.Get<Rights>() is { Projects: { } projects })
            value = ((IEnumerable)value).Cast<object>().Where(o => inProject.ProjectOf(o) is { } project && projects.Contains(project)).ToList();
        if (list is not null)
            value = ListPage.Take(http, list, endpoint.Metadata.GetMetadata<IEndpointNameMetadata>()!.EndpointName, (IEnumerable)value);
        var bytes = EntityTag.Represent(value);
        var tag = EntityTag.Of(bytes);
        return new Representation(fields is null ? bytes : JsonSerializer.SerializeToUtf8Bytes(Fields.Take(JsonNode.Parse(bytes), fields), JsonFormat.Options), tag);
    }

    private sealed class Representation(byte[] body, string tag) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            var response = httpContext.Response;
            response.Headers.ETag = tag;
            // A cache may keep it for this caller, and must ask each time whether it still holds.
            response.Headers.CacheControl = "private, no-cache";
            if (EntityTag.IsNoneMatch(httpContext.Request.Headers.IfNoneMatch, tag))
            {
                response.StatusCode = StatusCodes.Status304NotModified;
                return;
            }
            response.ContentType = "application/json; charset=utf-8";
            response.ContentLength = body.Length;
            await response.Body.WriteAsync(body, httpContext.RequestAborted);
        }
    }
}
