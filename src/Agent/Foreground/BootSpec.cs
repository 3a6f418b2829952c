using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Exitless.Agent.Machines;
using Exitless.Contracts;
using Exitless.Vmm.Control;
using Exitless.Vmm.Disks;

namespace Exitless.Agent.Foreground;

/// <summary>
/// A VM as a file describes it: the members of <see cref="VmConfig"/>, most of which have defaults here, and beside them <c>kernel</c> and <c>initrd</c> (paths),
/// <c>memoryMib</c> and, in each of <c>devices</c>, <c>mac</c>; in each of <c>disks</c>, <c>file</c> (a path; its backing files are found by its header); in each of <c>networks</c>, <c>tap</c> (the name of an interface); in <c>vsock</c>, <c>socket</c> (a path).
/// </summary>
/// <param name="Config">What is launched; the devices' groups are filled in later.</param>
/// <param name="Wanted">The same in the words of the preflight.</param>
/// <param name="KernelPath">The kernel's file; empty: it is read out of the boot disk.</param>
/// <param name="InitrdPath">The initrd's file; null: none.</param>
/// <param name="Disks">The disks' files.</param>
/// <param name="Taps">The network links' interfaces.</param>
/// <param name="Vsock">The vsock's socket; null: none.</param>
internal sealed record BootSpec(VmConfig Config, WantedVm Wanted, string KernelPath, string? InitrdPath, IReadOnlyList<PlannedDisk> Disks, IReadOnlyList<PlannedTap> Taps, PlannedVsock? Vsock)
{
    private const string Kernel = "kernel", Initrd = "initrd", MemoryMib = "memoryMib", Devices = "devices";
    private static readonly string[] Own = [Kernel, Initrd, MemoryMib];
    private static readonly JsonDocumentOptions Reading = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <summary>Reads a file.</summary>
    /// <exception cref="ProblemException">spec-unreadable, spec-invalid, file-not-found.</exception>
    public static BootSpec Read(string path, TimeProvider time)
    {
        try
        {
            return Parse(File.ReadAllText(path), Path.GetFileNameWithoutExtension(path), time);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ProblemException("spec-unreadable", "The description of the VM cannot be read", e.Message, "Name a JSON file; docs/agent.md shows one.", "", e);
        }
    }

    internal static BootSpec Parse(string text, string name, TimeProvider time)
    {
        try
        {
            var json = JsonNode.Parse(text, null, Reading) as JsonObject ?? throw Invalid("It is no JSON object.", "");
            foreach (var (member, _) in json)
            {
                if (!Own.Contains(member, StringComparer.Ordinal) && !VmConfigJson.Members.Contains(member, StringComparer.Ordinal))
                    throw Invalid($"It has a member '{member}', which nothing here knows. Known are: {string.Join(", ", Own.Concat(VmConfigJson.Members).Order(StringComparer.Ordinal))}.", member);
            }
            var kernel = FileOf(json, Kernel) ?? (json["bootDisk"] is not null ? "" : throw Invalid("It names neither a kernel nor a boot disk.", Kernel));
            var initrd = FileOf(json, Initrd);
            var macs = TakeMacs(json);
            var disks = TakeDisks(json);
            var taps = TakeTaps(json);
            var vsock = TakeVsock(json);
            Complete(json, name, initrd is not null, time);
            var config = VmConfigJson.Read(json);
            return new BootSpec(config, WantedOf(config, macs), kernel, initrd, disks, taps, vsock);
        }
        catch (VmmProblemException e)
        {
            throw new ProblemException(e.Code, e.Title, e.Detail, e.Remedy, e.Field, e);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw Invalid(e.Message, "", e);
        }
    }

    private static string? FileOf(JsonObject json, string member)
    {
        if (json[member]?.GetValue<string>() is not { Length: > 0 } path)
            return null;
        json.Remove(member);
        return File.Exists(path) ? path : throw new ProblemException("file-not-found", "A file of the VM is missing", $"There is no file {path}.", "Check the path.", member);
    }

    private static List<string> TakeMacs(JsonObject json)
    {
        var macs = new List<string>();
        foreach (var device in json[Devices]?.AsArray() ?? [])
        {
            var members = device?.AsObject() ?? throw Invalid("A device is null.", Devices);
            macs.Add(members["mac"]?.GetValue<string>() ?? "");
            members.Remove("mac");
            members["iommuGroup"] = 0;
        }
        return macs;
    }

    private static List<PlannedDisk> TakeDisks(JsonObject json)
    {
        var disks = new List<PlannedDisk>();
        foreach (var (disk, i) in (json["disks"]?.AsArray() ?? []).Select((d, i) => (d, i)))
        {
            var members = disk?.AsObject() ?? throw Invalid("A disk is null.", "disks");
            var field = $"disks[{i}]";
            var file = FileOf(members, "file") ?? throw Invalid($"{field} names no file.", $"{field}.file");
            var format = Enum.TryParse<DiskFormat>(members["format"]?.GetValue<string>() ?? nameof(DiskFormat.Raw), ignoreCase: true, out var known) ? known : DiskFormat.Raw;
            var backing = DiskChain.Backing(file, format, field);
            members["id"] ??= $"disk{i}";
            members["backingFormats"] = new JsonArray([.. backing.Select(b => JsonValue.Create(b.Format.ToString()))]);
            disks.Add(new PlannedDisk(file, members["isReadOnly"]?.GetValue<bool>() ?? false, [.. backing.Select(b => b.Path)]));
        }
        return disks;
    }

    private static List<PlannedTap> TakeTaps(JsonObject json)
    {
        var taps = new List<PlannedTap>();
        foreach (var (network, i) in (json["networks"]?.AsArray() ?? []).Select((n, i) => (n, i)))
        {
            var members = network?.AsObject() ?? throw Invalid("A network link is null.", "networks");
            var tap = new PlannedTap(members["tap"]?.GetValue<string>() ?? "", $"networks[{i}].tap");
            tap.Check(taps);
            taps.Add(tap);
            members.Remove("tap");
        }
        return taps;
    }

    private static PlannedVsock? TakeVsock(JsonObject json)
    {
        if (json["vsock"]?.AsObject() is not { } members)
            return null;
        if (members["socket"]?.GetValue<string>() is not { Length: > 0 } path)
            throw Invalid("The vsock names no socket.", "vsock.socket");
        members.Remove("socket");
        return new PlannedVsock(Path.GetFullPath(path));
    }

    private static void Complete(JsonObject json, string name, bool hasInitrd, TimeProvider time)
    {
        if (json[MemoryMib] is { } mebibytes)
        {
            json["memoryBytes"] = mebibytes.GetValue<long>() << 20;
            json.Remove(MemoryMib);
        }
        json["hasInitrd"] = hasInitrd;
        json["vmId"] ??= Guid.CreateVersion7(time.GetUtcNow()).ToString("D", CultureInfo.InvariantCulture);
        json["name"] ??= name;
        json["vcpus"] ??= 1;
        json["memoryBytes"] ??= 256L << 20;
        json["commandLine"] ??= "console=ttyS0";
        json["consoleLogPath"] ??= "";
        json[Devices] ??= new JsonArray();
    }

    private static WantedVm WantedOf(VmConfig config, List<string> macs) => new()
    {
        VmId = config.VmId.ToString("D", CultureInfo.InvariantCulture),
        Name = config.Name,
        Vcpus = (uint)Math.Max(config.Vcpus, 0),
        MemoryMib = (uint)Math.Clamp(config.MemoryBytes >> 20, 0, uint.MaxValue),
        CommandLine = config.CommandLine,
        Devices = { config.Devices.Select((d, i) => new WantedDevice { Address = d.Address, Mac = macs[i] }) },
        Run = WantedRun.Running,
    };

    private static ProblemException Invalid(string detail, string field, Exception? cause = null) => new(
        "spec-invalid", "The description of the VM is not one", detail, "docs/agent.md shows one.", field, cause);
}
