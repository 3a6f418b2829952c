using System.Web;
using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Lists;

/// <summary>What a list shows, as its address says it: <c>?q=web&amp;state=running&amp;sort=-memory</c>. The address is the whole truth, so that it can be sent to somebody, kept, and gone back to.</summary>
internal sealed record ListState(string Search, string? Sort, bool Descending, IReadOnlyDictionary<string, string> Filters)
{
    private const string SearchKey = "q";
    private const string SortKey = "sort";
    private const string All = "all";

    /// <summary>Reads an address. What the list does not know of is left alone.</summary>
    public static ListState Read(Uri address, IReadOnlyList<ListFilter> filters)
    {
        var query = HttpUtility.ParseQueryString(address.Query);
        var sort = query[SortKey];
        return new ListState(
            query[SearchKey] ?? "", string.IsNullOrEmpty(sort) ? null : sort.TrimStart('-'), sort?.StartsWith('-') == true,
            filters.ToDictionary(f => f.Key, f => query[f.Key] switch { null => f.Default, All => "", var value => value }, StringComparer.Ordinal));
    }

    /// <summary>What of the address changes; null takes a parameter away.</summary>
    public IReadOnlyDictionary<string, object?> Parameters(IReadOnlyList<ListFilter> filters)
    {
        var parameters = new Dictionary<string, object?>(StringComparer.Ordinal)
        {
            [SearchKey] = Search.Length == 0 ? null : Search,
            [SortKey] = Sort is null ? null : Descending ? $"-{Sort}" : Sort,
        };
        foreach (var filter in filters)
        {
            var value = Filters.GetValueOrDefault(filter.Key, "");
            parameters[filter.Key] = value == filter.Default ? null : value.Length == 0 ? All : value;
        }
        return parameters;
    }

    /// <summary>Whether anything is asked for but the list's own order.</summary>
    public bool IsNarrowed(IReadOnlyList<ListFilter> filters) => Search.Length > 0 || filters.Any(f => Filters.GetValueOrDefault(f.Key, "") != f.Default);

    /// <summary>The list without search and choices.</summary>
    public ListState Cleared(IReadOnlyList<ListFilter> filters) => this with { Search = "", Filters = filters.ToDictionary(f => f.Key, f => f.Default, StringComparer.Ordinal) };

    public ListState With(string filter, string value) => this with { Filters = new Dictionary<string, string>(Filters, StringComparer.Ordinal) { [filter] = value } };

    /// <summary>First upwards, then downwards, then the list's own order again.</summary>
    public ListState SortedBy(string column) => Sort != column ? this with { Sort = column, Descending = false } : Descending ? this with { Sort = null, Descending = false } : this with { Descending = true };

    public ListQuery Query(int offset, int count) => new(Search, Filters, Sort, Descending, offset, count);

    /// <summary>Records compare dictionaries by reference; two states are the same when they ask for the same.</summary>
    public bool Same(ListState? other) =>
        other is not null && Search == other.Search && Sort == other.Sort && Descending == other.Descending && Filters.Count == other.Filters.Count && Filters.All(f => other.Filters.GetValueOrDefault(f.Key) == f.Value);
}
