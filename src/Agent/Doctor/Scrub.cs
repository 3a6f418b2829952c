using System.Text.RegularExpressions;

namespace Exitless.Agent.Doctor;

/// <summary>Replaces MACs by 00:00:00:00:00:00, each UUID by a number of its own, and the host's name.</summary>
internal sealed partial class Scrub(string hostName)
{
    private readonly Dictionary<string, string> _ids = new(StringComparer.OrdinalIgnoreCase);

    public string Clean(string text)
    {
        text = Mac().Replace(text, "00:00:00:00:00:00");
        text = Uuid().Replace(text, m =>
        {
            if (!_ids.TryGetValue(m.Value, out var id))
                _ids[m.Value] = id = $"00000000-0000-0000-0000-{_ids.Count + 1:d12}";
            return id;
        });
        return hostName.Length == 0 ? text : Regex.Replace(text, $"(?<![\\w.-]){Regex.Escape(hostName)}(?![\\w-])", "host", RegexOptions.None, TimeSpan.FromSeconds(10));
    }

    [GeneratedRegex("(?<![0-9a-f:])([0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f:])", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex Mac();

    [GeneratedRegex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", RegexOptions.IgnoreCase, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex Uuid();
}
