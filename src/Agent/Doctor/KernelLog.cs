using System.Text;
using Exitless.Linux;

namespace Exitless.Agent.Doctor;

/// <summary>
/// The lines of the kernel's log that bear on what the doctor asks, from /dev/kmsg (Documentation/ABI/testing/dev-kmsg). It is a ring: on a host that has run for long the
/// lines of its boot may be gone, and only root may read it; so nothing is concluded from a line's absence.
/// </summary>
internal sealed class KernelLog
{
    private const string Path = "/dev/kmsg";

    private static readonly string[] Wanted =
    [
        "DMAR: IOMMU enabled", "DMAR: dmar", "DMAR-IR:", "AMD-Vi:", "x2apic", "kvm_amd: ", "kvm_intel: ", "SVM: AVIC", "SEV-SNP:", "irq bypass ", "not enough MMIO resources for SR-IOV",
    ];

    private readonly List<string> _lines = [];

    public KernelLog(HostFiles files)
    {
        var kept = new StringBuilder();
        foreach (var record in Records(files.Root.At(Path)))
        {
            var message = Message(record);
            if (!Wanted.Any(w => message.Contains(w, StringComparison.Ordinal)))
                continue;
            _lines.Add(message);
            kept.Append(record).Append('\n');
        }
        if (_lines.Count > 0)
            files.KeepText(Path, kept.ToString());
    }

    /// <summary>The first line that contains a text, as evidence, or null.</summary>
    public Contracts.Evidence? Find(string text) => _lines.Find(l => l.Contains(text, StringComparison.Ordinal)) is { } line ? Findings.Saw(Path, line) : null;

    // "6,339,5140900,-;NET: Registered PF_INET6", then lines of properties that begin with a space.
    private static string Message(string record)
    {
        var semicolon = record.IndexOf(';', StringComparison.Ordinal);
        return semicolon < 0 ? record : record[(semicolon + 1)..];
    }

    private static List<string> Records(string path)
    {
        using var text = new MemoryStream();
        try
        {
            using var file = Files.Open(path, OpenMode.Read | OpenMode.NonBlocking);
            var buffer = new byte[16 * 1024];   // a record is at most 8 KiB (CONSOLE_EXT_LOG_MAX)
            while (true)
            {
                try
                {
                    var count = Files.Read(file, buffer);
                    if (count == 0)
                        break;
                    text.Write(buffer, 0, count);
                }
                catch (LinuxException e) when (e.Errno == Errno.Pipe)
                {
                    // The ring has overtaken us; the next read goes on behind the gap.
                }
            }
        }
        catch (LinuxException e) when (e.Errno == Errno.Again)
        {
            // The end of the ring.
        }
        catch (LinuxException)
        {
            return [];   // not there, or not for this user
        }
        return [.. Encoding.UTF8.GetString(text.ToArray()).Split('\n').Where(l => l.Length > 0 && l[0] != ' ')];
    }
}
