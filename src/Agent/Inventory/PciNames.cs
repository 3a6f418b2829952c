using System.Globalization;
using Exitless.Linux;
using Exitless.Linux.Sysfs;

namespace Exitless.Agent.Inventory;

/// <summary>Names out of pci.ids, where the host has it. The file is read through only when an id has not been seen before, and only the names met are kept.</summary>
internal sealed class PciNames(HostRoot root)
{
    private static readonly string[] Places = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/var/lib/pciutils/pci.ids"];
    private readonly Dictionary<(uint Vendor, uint Device), string> _names = [];

    public string Of(PciFunction function) => _names.GetValueOrDefault((function.VendorId, function.DeviceId), "");

    public void Load(IReadOnlyList<PciFunction> functions)
    {
        var missing = functions.Select(f => (f.VendorId, f.DeviceId)).Where(id => !_names.ContainsKey(id)).ToHashSet();
        if (missing.Count == 0)
            return;
        foreach (var id in missing)
            _names[id] = "";
        if (Places.Select(root.At).FirstOrDefault(File.Exists) is not { } path)
            return;
        uint vendor = 0;
        var vendorName = "";
        var inClasses = false;
        foreach (var line in File.ReadLines(path))
        {
            // "8086  Intel Corporation", "\t10ca  82576 Virtual Function", "\t\tsubvendor subdevice  name", then classes "C 00  …"
            if (line.Length < 6 || line[0] == '#' || line.StartsWith("\t\t", StringComparison.Ordinal))
                continue;
            if (line[0] != '\t')
            {
                inClasses = line[0] == 'C';
                if (!inClasses && TryId(line.AsSpan(0, 4), out vendor))
                    vendorName = line[6..];
            }
            else if (!inClasses && line.Length > 7 && TryId(line.AsSpan(1, 4), out var device) && missing.Contains((vendor, device)))
            {
                _names[(vendor, device)] = $"{vendorName} {line[7..]}";
            }
        }
    }

    private static bool TryId(ReadOnlySpan<char> text, out uint id) => uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id);
}
