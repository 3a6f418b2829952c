using System.CommandLine;
using Exitless.Cli.Api;

namespace Exitless.Cli.Commands;

/// <summary><c>list</c> and <c>get</c>.</summary>
internal static class ReadCommands
{
    public static IEnumerable<Command> Make(Session session)
    {
        var listed = KindArgument([.. Kind.All.Select(k => k.Name)]);
        var filters = new Option<string[]>("--filter", "-f") { Description = "member=value, such as state=running; repeated for more.", AllowMultipleArgumentsPerToken = true };
        var fields = new Option<string?>("--fields") { Description = "Only these members, by commas; with -o json or yaml." };
        var limit = new Option<int?>("--limit") { Description = "At most this many." };
        var list = new Command("list", "Lists all of a kind.") { listed, filters, fields, limit };
        session.Act(list, async (parsed, api, printer, ct) =>
        {
            var kind = Kind.Named(parsed.GetRequiredValue(listed));
            var query = (parsed.GetValue(filters) ?? []).Select(Filter).ToList();
            if (parsed.GetValue(fields) is { } some && !printer.ForPeople)
                query.Add($"fields={Uri.EscapeDataString(some)}");
            var items = await api.ListAsync($"{kind.Path}{(query.Count > 0 ? $"?{string.Join('&', query)}" : "")}", parsed.GetValue(limit), ct);
            await printer.ListAsync(kind, items);
        });
        yield return list;

        var shown = KindArgument([.. Kind.All.Where(k => k.Name is not ("device" or "event" or "finding" or "audit")).Select(k => k.Name)]);
        var name = new Argument<string>("name") { Description = "Its name or id." };
        var get = new Command("get", "Shows one.") { shown, name };
        session.Act(get, async (parsed, api, printer, ct) =>
            await printer.OneAsync((await api.GetAsync(await Kind.Named(parsed.GetRequiredValue(shown)).FindAsync(api, parsed.GetRequiredValue(name), ct), ct)).Body));
        yield return get;
    }

    public static Argument<string> KindArgument(params string[] kinds) => new Argument<string>("kind") { Description = string.Join(", ", kinds) }.AcceptOnlyFromAmong(kinds);

    private static string Filter(string text) => text.Split('=', 2) is [{ Length: > 0 } member, var value]
        ? $"{Uri.EscapeDataString(member)}={Uri.EscapeDataString(value)}"
        : throw new FailureException(ExitCode.Usage, $"'{text}' is no filter; write member=value.");
}
