using System.Reflection;
using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Http;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>Refuses a query that an endpoint does not know: a mistyped filter would otherwise answer with everything.</summary>
internal static class QueryNames
{
    public static void Check(HttpContext context, Endpoint endpoint)
    {
        var query = context.Request.Query;
        if (query.Count == 0)
            return;
        // PostgreSQL's text cannot hold it.
        if (query.FirstOrDefault(q => q.Value.Any(v => v?.Contains('\0', StringComparison.Ordinal) == true)).Key is { } zero)
            throw ProblemException.ForField(ProblemKind.Invalid, "query-unreadable", "The query cannot be read.", zero, $"The value of '{zero}' holds a NUL character.", "Leave it out.");
        var known = Known(endpoint, HttpMethods.IsGet(context.Request.Method));
        if (query.Keys.FirstOrDefault(k => !known.Contains(k, StringComparer.OrdinalIgnoreCase)) is { } unknown)
        {
            throw ProblemException.ForField(ProblemKind.Invalid, "query-unknown", "The query has a part that is not known here.", unknown, $"There is no '{unknown}' here.",
                known.Count == 0 ? "Leave the query out." : $"There are: {string.Join(", ", known)}.");
        }
    }

    public static IReadOnlyList<string> Known(Endpoint endpoint, bool reads)
    {
        var names = new List<string>();
        var inRoute = (endpoint as Microsoft.AspNetCore.Routing.RouteEndpoint)?.RoutePattern.Parameters.Select(p => p.Name).ToList() ?? [];
        foreach (var parameter in endpoint.Metadata.GetMetadata<MethodInfo>()?.GetParameters() ?? [])
        {
            var type = Nullable.GetUnderlyingType(parameter.ParameterType) ?? parameter.ParameterType;
            if ((type == typeof(string) || type == typeof(string[]) || type == typeof(Guid) || type.IsPrimitive || type.IsEnum) && !inRoute.Contains(parameter.Name!) && parameter.GetCustomAttribute<Microsoft.AspNetCore.Mvc.FromHeaderAttribute>() is null)
                names.Add(parameter.Name!);
        }
        if (endpoint.Metadata.GetMetadata<ListPromise>() is { PagedByStore: false } list)
            names.AddRange([.. list.Filters, "limit", "cursor"]);
        if (reads)
            names.Add("fields");
        return names;
    }
}
