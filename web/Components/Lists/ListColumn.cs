using Microsoft.AspNetCore.Components;

namespace Exitless.Web.Components.Lists;

/// <summary>A column of a list.</summary>
/// <param name="Key">Its name in the address and in <see cref="ControlPlane.Api.ListQuery.Sort"/>.</param>
/// <param name="Title">Its heading.</param>
/// <param name="Cell">How a row is shown.</param>
/// <param name="Text">The same as text, for CSV.</param>
public sealed record ListColumn<T>(string Key, string Title, RenderFragment<T> Cell, Func<T, string?> Text)
{
    /// <summary>Whether the list can be sorted by it.</summary>
    public bool Sortable { get; init; } = true;

    /// <summary>Classes of its cells: <c>number</c>, <c>mono</c>, <c>quiet</c>, and <c>hide-small</c> for what a phone has no room for.</summary>
    public string Class { get; init; } = "";

    /// <summary>Its width in CSS; null: it takes what the others leave.</summary>
    public string? Width { get; init; }
}

/// <summary>A choice above a list.</summary>
/// <param name="Key">Its name in the address and in <see cref="ControlPlane.Api.ListQuery.Filters"/>.</param>
/// <param name="Title">What it chooses by.</param>
/// <param name="AllWords">The words for no choice.</param>
/// <param name="Options">Values with their words.</param>
public sealed record ListFilter(string Key, string Title, string AllWords, IReadOnlyList<(string Value, string Words)> Options)
{
    /// <summary>What is chosen when the address says nothing; empty: all.</summary>
    public string Default { get; init; } = "";
}
