using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Builder;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>How an endpoint says what it promises.</summary>
internal static class PromiseExtensions
{
    /// <summary>The answer is a list that is read whole, then filtered, ordered and cut into pages here.</summary>
    public static RouteHandlerBuilder IsList<T>(this RouteHandlerBuilder endpoint, Func<T, string[]> key, bool descending = false, params string[] filters) =>
        endpoint.WithMetadata(new ListPromise(typeof(T), o => key((T)o), descending, filters, PagedByStore: false));

    /// <summary>The answer is a list that the database filters, orders and pages: the endpoint takes <c>limit</c> and <c>cursor</c> itself.</summary>
    public static RouteHandlerBuilder IsStoredList<T>(this RouteHandlerBuilder endpoint, Func<T, string[]> key) =>
        endpoint.WithMetadata(new ListPromise(typeof(T), o => key((T)o), Descending: true, [], PagedByStore: true));

    /// <summary>Who may.</summary>
    public static RouteHandlerBuilder Needs(this RouteHandlerBuilder endpoint, Role role, Reach reach) => endpoint.WithMetadata(new NeedsPromise(role, reach));

    /// <summary>Of the list, everybody sees what is in projects that they have a role in.</summary>
    public static RouteHandlerBuilder InProject<T>(this RouteHandlerBuilder endpoint, Func<T, Guid?> project) => endpoint.WithMetadata(new InProjectPromise(o => project((T)o)));

    /// <summary>The request changes what is there: <c>If-Match</c> is honoured.</summary>
    public static RouteHandlerBuilder Changes(this RouteHandlerBuilder endpoint, Resource resource) => endpoint.WithMetadata(new ChangePromise(resource));

    /// <summary>The request makes something new.</summary>
    public static RouteHandlerBuilder Creates(this RouteHandlerBuilder endpoint) => endpoint.WithMetadata(new CreationPromise());

    /// <summary>One request and its answer, for readers of the description; a test replays it.</summary>
    public static RouteHandlerBuilder WithExample(this RouteHandlerBuilder endpoint, int status, object? answer, object? body = null, params (string Name, string Value)[] query) =>
        endpoint.WithMetadata(new ExamplePromise(status, answer, body, query));
}
