using Exitless.ControlPlane.Database;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Rest.Conventions;

/// <summary>A thing with an address of its own, that changes name by <c>If-Match</c>.</summary>
/// <param name="Path">Below <c>/api/v1</c>, as in its route.</param>
/// <param name="LockAsync">Keeps every other change of it away until the transaction ends.</param>
/// <param name="ReadAsync">What a GET of it answers.</param>
internal sealed record Resource(
    string Path, Func<ControlPlaneContext, RouteValueDictionary, CancellationToken, Task> LockAsync, Func<IServiceProvider, ControlPlaneContext, RouteValueDictionary, CancellationToken, Task<object>> ReadAsync);

/// <summary>Endpoint metadata: the answer is a list, in pages.</summary>
/// <param name="Item">What it lists.</param>
/// <param name="Key">What the list is ordered by; unique in it.</param>
/// <param name="Descending">Whether the greatest comes first.</param>
/// <param name="Filters">Members of the items that a query of the same name filters by.</param>
/// <param name="PagedByStore">Whether the database pages it; else it is small enough to be read whole.</param>
internal sealed record ListPromise(Type Item, Func<object, string[]> Key, bool Descending, IReadOnlyList<string> Filters, bool PagedByStore);

/// <summary>Endpoint metadata: which project an item of a list is in; null: none, and only those with a role in the fleet see it.</summary>
internal sealed record InProjectPromise(Func<object, Guid?> ProjectOf);

/// <summary>Endpoint metadata: the request changes a resource that is there.</summary>
internal sealed record ChangePromise(Resource Resource);

/// <summary>Endpoint metadata: the request makes something new.</summary>
internal sealed record CreationPromise;

/// <summary>Endpoint metadata: one request and its answer, which a test replays.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Answer">The answer's body; null: none.</param>
/// <param name="Body">The request's body; null: none.</param>
/// <param name="Query">The request's query.</param>
internal sealed record ExamplePromise(int Status, object? Answer, object? Body, IReadOnlyList<(string Name, string Value)> Query);
