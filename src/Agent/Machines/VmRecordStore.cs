using System.Text.Json;
using Exitless.Agent.Storage;

namespace Exitless.Agent.Machines;

/// <summary>One file for each VM below the state folder.</summary>
internal sealed class VmRecordStore(string stateFolder)
{
    private readonly string _folder = Path.Combine(stateFolder, "vms");

    public IReadOnlyList<VmRecord> LoadAll()
    {
        if (!Directory.Exists(_folder))
            return [];
        return [.. Directory.GetFiles(_folder, "*.json").Order(StringComparer.Ordinal).Select(Load).OfType<VmRecord>()];
    }

    public void Save(VmRecord record) =>
        AtomicFile.Write(PathOf(record.VmId), JsonSerializer.SerializeToUtf8Bytes(record, VmRecordJson.Default.VmRecord));

    public void Delete(string vmId) => AtomicFile.Delete(PathOf(vmId));

    private static VmRecord? Load(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), VmRecordJson.Default.VmRecord);
        }
        catch (JsonException e)
        {
            throw new AgentException($"{path} is damaged: {e.Message}", "Look whether that VM's process still runs, end it, and remove the file.", e);
        }
    }

    private string PathOf(string vmId) => Path.Combine(_folder, vmId + ".json");
}
