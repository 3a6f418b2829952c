using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Exitless.ControlPlane.Tests.Fixtures;

namespace Exitless.ControlPlane.Tests.Rest;

/// <summary>Every field of every request, by properties: whatever is sent in it, the answer is success or a problem that names it, never a failure of the control plane; and a refusal changes nothing.</summary>
public sealed class FieldTests(TestHost host) : IClassFixture<TestHost>
{
    /// <summary>Values for each body; enough for every kind of value in every field.</summary>
    private const int Tries = 120;

    public static TheoryData<string> Bodies => [.. ApiOperation.All.Where(o => o.BodySchema is not null).Select(o => o.Id)];

    public static TheoryData<string> Queries => [.. ApiOperation.All.Where(o => o.Parameters.Any(p => (string)p["in"]! == "query") && !o.Streams).Select(o => o.Id)];

    private static readonly Gen<string> Numbers = Among("0", "-1", "1", "63", "64", "65", "2147483647", "-2147483648", "2147483648", "9223372036854775808", "1e400", "1.5", "-0");

    private static readonly Gen<string> Texts = Gen.OneOf(
        Among("\"\"", "\" \"", "\"\\u0000\"", "\"\\ud800\"", "\"\\u202e\"", "\"1\"", "\"true\"", "\"null\"", "\"0000:01:10.0\"", "\"0000:01:00.0\"", "\"02:00:00:00:00:01\"", "\"00000000-0000-0000-0000-000000000000\"", "\"' OR 1=1 --\""),
        Gen.Int[60, 5000].Select(n => $"\"{new string('x', n)}\""),
        Gen.String.Select(s => JsonSerializer.Serialize(s)));

    private static readonly Gen<string> Values = Gen.OneOf(Numbers, Texts, Among("null", "true", "false", "[]", "{}", "[1]", "[null]", "[[]]", "{\"a\":1}", "[{\"address\":5}]"));

    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task Whatever_is_in_a_field_of_a_body_is_taken_or_refused_by_name(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        var body = scene.Real(operation.ExampleBody!.ToJsonString());
        var places = Places(operation.BodySchema!, JsonNode.Parse(body), "").ToArray();
        Assert.NotEmpty(places);
        // Each field is certain to be tried with each kind of value; what is in them is chance.
        var sent = 0;
        await Gen.Select(Among(places), Values).SampleAsync(async (place, value) =>
        {
            var before = await scene.StateAsync();
            var wrong = With(body, place, value);
            if (wrong is null)
                return;
            Interlocked.Increment(ref sent);
            using var request = new HttpRequestMessage(operation.Method, scene.Real(operation.ExampleTarget)) { Content = new StringContent(wrong, Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
            await TriedAsync(scene, request, place, $"{operation} {wrong}", before);
        }, iter: Tries, threads: 1);
        Assert.InRange(sent, Tries / 2, Tries * 2);
    }

    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task A_wrong_type_an_unknown_member_and_a_missing_one_are_refused_by_name(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        var body = scene.Real(operation.ExampleBody!.ToJsonString());
        var before = await scene.StateAsync();
        foreach (var place in Places(operation.BodySchema!, JsonNode.Parse(body), ""))
        {
            foreach (var value in (string[])["{\"a\":1}", "[[1]]", "[null]", "1e400"])
                await RefusedAsync(operation, scene, With(body, place, value)!, place, before);
        }
        foreach (var place in Objects(JsonNode.Parse(body)!, ""))
            await RefusedAsync(operation, scene, With(body, Join(place, "colour"), "1")!, "colour", before);
        foreach (var required in operation.BodySchema!["required"]?.AsArray() ?? [])
        {
            var thin = JsonNode.Parse(body)!.AsObject();
            thin.Remove((string)required!);
            await RefusedAsync(operation, scene, thin.ToJsonString(), (string)required!, before);
        }
    }

    [Theory]
    [MemberData(nameof(Queries))]
    public async Task Whatever_is_in_a_query_is_taken_or_refused_by_name(string id)
    {
        var operation = ApiOperation.Named(id);
        await using var scene = await Scene.SetAsync(host, operation);
        var names = operation.Parameters.Where(p => (string)p["in"]! == "query").Select(p => (string)p["name"]!).Append("colour").ToArray();
        var path = scene.Real(operation.PathWith(operation.Path));
        var text = Gen.OneOf(
            Among("", "0", "-1", "1.5", "NaN", "2147483648", "1e400", "true", "\u0000", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "253402300799", "*", "a,b", "..", "00000000-0000-0000-0000-000000000000"),
            Gen.String);
        // Waiting is tried by its limits; a wait that is granted would only be waited for.
        await Gen.Select(Among(names), text).Where(t => t.Item1 != "wait" || !int.TryParse(t.Item2, out var seconds) || seconds is < 1 or > 300).SampleAsync(async (name, value) =>
        {
            if (!IsText(value) || !operation.Reads)
                return;
            var before = await scene.StateAsync();
            using var request = new HttpRequestMessage(operation.Method, $"{path}?{name}={Uri.EscapeDataString(value)}");
            await TriedAsync(scene, request, name, $"{operation} {name}={value}", before);
        }, iter: Tries, threads: 1);
        if (operation.Parameters.Any(p => (string)p["name"]! == "wait"))
        {
            foreach (var wait in (string[])["-1", "301", "x", "1.5", "99999999999"])
            {
                var before = await scene.StateAsync();
                using var request = new HttpRequestMessage(operation.Method, $"{path}?wait={wait}");
                if (operation.ExampleBody is { } body)
                    request.Content = new StringContent(scene.Real(body.ToJsonString()), Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
                using var answer = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
                var problem = JsonNode.Parse(await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!;
                Assert.True((int)answer.StatusCode == 400 && problem["errors"]?["wait"] is not null, $"{operation} wait={wait}: {problem}");
                Assert.Equal(before, await scene.StateAsync());
            }
        }
    }

    private async Task TriedAsync(Scene scene, HttpRequestMessage request, string place, string what, string before)
    {
        using var answer = await host.Http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        if (answer.IsSuccessStatusCode)
            return;
        Assert.True((int)answer.StatusCode is 400 or 404 or 409, $"{what}: {(int)answer.StatusCode} {text}");
        // What stands in the way may be in another field: an earlier try that succeeded has taken the name.
        if ((int)answer.StatusCode == 400)
            Named(text, place, what);
        Assert.Equal(before, await scene.StateAsync());
    }

    private async Task RefusedAsync(ApiOperation operation, Scene scene, string body, string place, string before)
    {
        using var request = new HttpRequestMessage(operation.Method, scene.Real(operation.ExampleTarget)) { Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        using var answer = await host.Http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True((int)answer.StatusCode == 400, $"{operation} {body}: {(int)answer.StatusCode} {text}");
        Named(text, place, $"{operation} {body}");
        Assert.Equal(before, await scene.StateAsync());
    }

    /// <summary>The problem speaks of the field: itself, what is in it, or what it is in; or, of state that stands in the way, in its words.</summary>
    private static void Named(string text, string place, string what)
    {
        var problem = JsonNode.Parse(text)!;
        var leaf = place.Split('.')[^1];
        var errors = problem["errors"]!.AsObject();
        var named = errors.Any(e => e.Key == place || e.Key.StartsWith(place, StringComparison.Ordinal) || e.Key.EndsWith(leaf, StringComparison.Ordinal) || e.Value!.ToJsonString().Contains($"'{leaf}'", StringComparison.Ordinal) || e.Value!.ToJsonString().Contains($"u0027{leaf}\\u0027", StringComparison.Ordinal));
        Assert.True(named || (errors.Count == 0 && (string?)problem["code"] is not ("internal" or "request-invalid" or null)), $"{what}: the problem does not name {place}: {text}");
    }

    /// <summary>Every field of a schema, within objects and lists that the example has: <c>devices[0].mac</c>.</summary>
    private static IEnumerable<string> Places(JsonObject schema, JsonNode? example, string path)
    {
        foreach (var (name, member) in schema["properties"]?.AsObject() ?? [])
        {
            var place = Join(path, name);
            yield return place;
            var inner = ApiOperation.Resolved(member!.AsObject());
            if (inner["items"] is { } items && example?[name] is JsonArray { Count: > 0 } list)
            {
                foreach (var below in Places(ApiOperation.Resolved(items.AsObject()), list[0], $"{place}[0]"))
                    yield return below;
            }
        }
    }

    private static IEnumerable<string> Objects(JsonNode node, string path)
    {
        if (node is JsonArray list)
        {
            for (var i = 0; i < list.Count; i++)
            {
                foreach (var below in Objects(list[i]!, $"{path}[{i}]"))
                    yield return below;
            }
        }
        if (node is not JsonObject members)
            yield break;
        yield return path;
        foreach (var (name, value) in members.Where(m => m.Value is JsonObject or JsonArray))
        {
            foreach (var below in Objects(value!, Join(path, name)))
                yield return below;
        }
    }

    /// <summary>A body with the raw JSON in a field; null: text that no request can carry.</summary>
    private static string? With(string body, string place, string raw)
    {
        const string Mark = "\"\u00a7\u00a7\u00a7\"";
        if (!IsText(raw))
            return null;
        var root = JsonNode.Parse(body)!;
        var at = root;
        var parts = place.Replace("[", ".", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal).Split('.', StringSplitOptions.RemoveEmptyEntries);
        foreach (var part in parts[..^1])
            at = int.TryParse(part, out var index) ? at[index]! : at[part]!;
        at[parts[^1]] = "\u00a7\u00a7\u00a7";
        return root.ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }).Replace(Mark, raw, StringComparison.Ordinal);
    }

    private static bool IsText(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                i++;
            else if (char.IsSurrogate(text[i]))
                return false;
        }
        return true;
    }

    private static Gen<T> Among<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path}.{name}";
}
