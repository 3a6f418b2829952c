using System.Collections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.Extensions.Primitives;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>A page of a list: what the query asks for of all that there is, and where the next page is (RFC 8288 <c>Link</c>).</summary>
internal static class ListPage
{
    private static readonly Comparer<string[]> ByKey = Comparer<string[]>.Create((a, b) =>
    {
        for (var i = 0; i < Math.Min(a.Length, b.Length); i++)
        {
            if (string.CompareOrdinal(a[i], b[i]) is not 0 and var order)
                return order;
        }
        return a.Length - b.Length;
    });

    /// <summary>The items of the page; sets the response's <c>Link</c> when there are more.</summary>
    /// <param name="context">The request.</param>
    /// <param name="list">What the list promises.</param>
    /// <param name="name">The list's name, as in its cursors.</param>
    /// <param name="all">All its items; of a list that the store pages, those of the page.</param>
    public static IReadOnlyList<object> Take(HttpContext context, ListPromise list, string name, IEnumerable all)
    {
        var items = all.Cast<object>().ToList();
        var query = context.Request.Query;
        if (list.PagedByStore)
        {
            var most = query.TryGetValue("limit", out var text) ? Cursor.Limit(text) : StoredPage;
            if (items.Count == most)
                Next(context, Cursor.Write(name, list.Key(items[^1])));
            return items;
        }
        var limit = query.TryGetValue("limit", out var asked) ? Cursor.Limit(asked) : int.MaxValue;
        var filters = list.Filters.Where(query.ContainsKey).Select(f => MemberFilter.Make(list.Item, f, query[f])).ToList();
        var after = query.TryGetValue("cursor", out var cursor) && !StringValues.IsNullOrEmpty(cursor) ? Cursor.Read(name, cursor.ToString()) : null;
        var sign = list.Descending ? -1 : 1;
        var chosen = items.Where(i => filters.TrueForAll(f => f(i))).Select(i => (Item: i, Key: list.Key(i)))
            .Where(i => after is null || (sign * ByKey.Compare(i.Key, after)) > 0);
        var ordered = list.Descending ? chosen.OrderByDescending(i => i.Key, ByKey) : chosen.OrderBy(i => i.Key, ByKey);
        var page = ordered.Take(limit == int.MaxValue ? limit : limit + 1).ToList();
        if (page.Count > limit)
        {
            page.RemoveAt(limit);
            Next(context, Cursor.Write(name, page[^1].Key));
        }
        return [.. page.Select(i => i.Item)];
    }

    /// <summary>How long a page of a list in the store is when the query does not say.</summary>
    public const int StoredPage = 100;

    private static void Next(HttpContext context, string cursor)
    {
        var query = new QueryBuilder(context.Request.Query.Where(q => q.Key is not ("cursor" or "before")).SelectMany(q => q.Value, (q, v) => new KeyValuePair<string, string>(q.Key, v ?? ""))) { { "cursor", cursor } };
        context.Response.Headers.Link = $"<{context.Request.Path}{query.ToQueryString()}>; rel=\"next\"";
    }
}
