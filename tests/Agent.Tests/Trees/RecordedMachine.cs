using System.Globalization;
using System.Text;
using Exitless.Linux;

namespace Exitless.Agent.Tests.Trees;

/// <summary>Unpacks a machine.txt of tests/Recorded (its README.md has the form) into a folder that stands for /.</summary>
internal sealed class RecordedMachine : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private string? _open;

    public RecordedMachine(string name) : this(File.ReadAllLines(Path.Combine(Folder(name), "machine.txt")))
    {
    }

    public RecordedMachine(IEnumerable<string> lines)
    {
        Root = new HostRoot(_folder.Path);
        foreach (var line in lines)
            Take(line);
    }

    public HostRoot Root { get; }

    public static IReadOnlyList<string> Names { get; } = [.. Directory.GetDirectories(Folder("")).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];

    public static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "Recorded", name);

    /// <summary>The lines of expected.txt: the exit code, then severity, id and subject.</summary>
    public static (int ExitCode, IReadOnlyList<string> Findings) Expected(string name)
    {
        var lines = File.ReadAllLines(Path.Combine(Folder(name), "expected.txt")).Where(l => l.Length > 0 && l[0] != '#').ToList();
        return (int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture), lines[1..]);
    }

    public void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Root.At(path))!);
        File.WriteAllText(Root.At(path), text + "\n");
    }

    public void Delete(string path) => File.Delete(Root.At(path));

    public void Dispose() => _folder.Dispose();

    private void Take(string line)
    {
        if (line.StartsWith('|') && _open is { } path)
        {
            File.AppendAllText(Root.At(path), line[1..] + "\n");
            return;
        }
        _open = null;
        if (line.Length == 0 || line[0] == '#')
            return;
        var words = line.Split(' ', 3);
        if (words[0] is "pci" or "unit" or "cpu")
            Short(line);
        else if (words.Length == 1 && line.EndsWith(':'))
            Create(_open = line[..^1]);
        else if (words.Length == 1 && line.EndsWith('/'))
            Directory.CreateDirectory(Root.At(line));
        else if (words.Length >= 2 && words[1] == "=")
            Write(words[0], words.Length == 3 ? words[2] : "");
        else if (words.Length == 3 && words[1] == "->")
            Link(words[0], words[2]);
        else if (words.Length == 3 && words[1] == "@")
            Patch(words[0], [.. words[2].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(h => int.Parse(h, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))]);
        else
            throw new FormatException($"machine.txt: '{line}'");
    }

    private void Create(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Root.At(path))!);
        File.WriteAllText(Root.At(path), "");
    }

    private void Link(string path, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Root.At(path))!);
        File.CreateSymbolicLink(Root.At(path), target);
    }

    private void Patch(string path, int[] numbers)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Root.At(path))!);
        using var file = File.Open(Root.At(path), FileMode.OpenOrCreate);
        file.SetLength(Math.Max(file.Length, numbers[0] >= 256 ? 4096 : 256));
        file.Position = numbers[0];
        file.Write([.. numbers.Skip(1).Select(n => (byte)n)]);
    }

    private void Short(string line)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        switch (words[0])
        {
            case "pci":
                Function(words[1], words[2], words[3], Values(line));
                break;
            case "unit":
                Unit(words[1], Values(line));
                break;
            default:
                Processor(Values(line));
                break;
        }
    }

    /// <summary>key=value and key="value with spaces".</summary>
    private static Dictionary<string, string> Values(string line)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        var at = 0;
        while ((at = line.IndexOf('=', at)) >= 0)
        {
            var key = line[(line.LastIndexOf(' ', at) + 1)..at];
            var quoted = at + 1 < line.Length && line[at + 1] == '"';
            var start = quoted ? at + 2 : at + 1;
            var end = start >= line.Length ? -1 : line.IndexOf(quoted ? '"' : ' ', start);
            end = end < 0 ? line.Length : end;
            values[key] = line[start..end];
            at = end;
        }
        return values;
    }

    private void Processor(Dictionary<string, string> v)
    {
        var text = new StringBuilder().AppendLine(CultureInfo.InvariantCulture, $"processor\t: 0\nvendor_id\t: {v["vendor"]}\ncpu family\t: {v["family"]}\nmodel\t\t: {v["model"]}\nmodel name\t: {v["name"]}\nstepping\t: {v["stepping"]}\nflags\t\t: {v["flags"]}");
        if (v.TryGetValue("vmx", out var vmx))
            text.AppendLine(CultureInfo.InvariantCulture, $"vmx flags\t: {vmx}");
        Write("/proc/cpuinfo", text.ToString());
    }

    private void Unit(string name, Dictionary<string, string> v)
    {
        var folder = $"/sys/devices/virtual/iommu/{name}";
        Link($"/sys/class/iommu/{name}", $"../../devices/virtual/iommu/{name}");
        if (v.TryGetValue("cap", out var cap))
        {
            Write(folder + "/intel-iommu/cap", cap);
            Write(folder + "/intel-iommu/ecap", v["ecap"]);
        }
        else
        {
            Write(folder + "/amd-iommu/features", v["features"]);
        }
        Directory.CreateDirectory(Root.At(folder + "/devices"));
        foreach (var device in v["devices"].Split(',', StringSplitOptions.RemoveEmptyEntries))
            Link($"{folder}/devices/{device}", $"../../../../../bus/pci/devices/{device}");
    }

    private void Function(string path, string id, string classCode, Dictionary<string, string> v)
    {
        var address = path.Split('/')[^1];
        var folder = $"/sys/devices/pci{path[..7]}/{path}";
        var (vendor, device) = (id[..4], id[5..]);
        Write(folder + "/vendor", "0x" + vendor);
        Write(folder + "/device", "0x" + device);
        Write(folder + "/class", "0x" + classCode);
        Write(folder + "/numa_node", v.GetValueOrDefault("node", "-1"));
        Link("/sys/bus/pci/devices/" + address, $"../../../devices/pci{path[..7]}/{path}");
        if (v.TryGetValue("driver", out var driver))
            Link(folder + "/driver", "../../../../bus/pci/drivers/" + driver);
        if (v.TryGetValue("group", out var group))
            Link(folder + "/iommu_group", "../../../kernel/iommu_groups/" + group);
        if (v.TryGetValue("pf", out var pf))
            Link(folder + "/physfn", "../" + pf);
        foreach (var (key, file) in new[] { ("totalvfs", "sriov_totalvfs"), ("numvfs", "sriov_numvfs"), ("autoprobe", "sriov_drivers_autoprobe") })
        {
            if (v.TryGetValue(key, out var value))
                Write($"{folder}/{file}", value);
        }
        Space(folder + "/config", vendor, device, v);
    }

    // A PCI Express capability at 40, MSI-X at 70, ACS at 100.
    private void Space(string path, string vendor, string device, Dictionary<string, string> v)
    {
        int Number(string hex) => int.Parse(hex, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        var (vendorId, deviceId) = (Number(vendor), Number(device));
        Patch(path, [0, vendorId & 0xff, vendorId >> 8, deviceId & 0xff, deviceId >> 8]);
        if (!v.TryGetValue("port", out var port))
            return;
        var kind = port switch { "root" => 4, "up" => 5, "down" => 6, _ => 0 };
        var msix = v.TryGetValue("msix", out var vectors) ? int.Parse(vectors, CultureInfo.InvariantCulture) : 0;
        Patch(path, [0x06, 0x10]);
        Patch(path, [0x34, 0x40]);
        Patch(path, [0x40, 0x10, msix > 0 ? 0x70 : 0, kind << 4 | 2, 0]);
        if (msix > 0)
            Patch(path, [0x70, 0x11, 0, msix - 1 & 0xff, msix - 1 >> 8]);
        if (v.TryGetValue("acs", out var acs))
            Patch(path, [0x100, 0x0d, 0, 0x01, 0, Number(acs), 0, Number(acs), 0]);
        else
            Patch(path, [0x100, 0, 0, 0, 0]);
    }
}
