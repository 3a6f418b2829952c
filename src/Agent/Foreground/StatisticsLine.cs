using System.Text;
using System.Text.Json;
using Exitless.Linux;
using Exitless.Vmm.Control;

namespace Exitless.Agent.Foreground;

/// <summary>KVM's statistics of a VM as one line of JSON. They can be read until the descriptors are closed, also after the guest's end.</summary>
internal sealed class StatisticsLine(VmmStatistics descriptors) : IDisposable
{
    private readonly KvmStatistics _vm = KvmStatistics.Open(descriptors.Vm);
    private readonly KvmStatistics[] _vcpus = [.. descriptors.Vcpus.Select(KvmStatistics.Open)];

    /// <summary>Reads all of them now.</summary>
    /// <param name="processId">The VM's process.</param>
    /// <param name="end">How the guest ended; null while it runs.</param>
    /// <param name="resources">What the VM's process holds; null where it does not say.</param>
    public string Read(int processId, VmEnd? end, VmmResources? resources)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("processId", processId);
            if (resources is not null)
                Write(json, resources);
            if (end is not null)
            {
                json.WriteStartObject("end");
                json.WriteString("reason", end.Reason.ToString());
                json.WriteString("text", end.Text);
                json.WriteNumber("at", end.At);
                json.WriteEndObject();
            }
            json.WriteStartObject("vm");
            Write(json, _vm);
            json.WriteEndObject();
            json.WriteStartArray("vcpus");
            foreach (var vcpu in _vcpus)
            {
                json.WriteStartObject();
                Write(json, vcpu);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
    }

    public void Dispose() => descriptors.Dispose();

    private static void Write(Utf8JsonWriter json, VmmResources resources)
    {
        json.WriteStartObject("resources");
        json.WriteNumber("collections", resources.Collections);
        json.WriteNumber("allocatedBytes", resources.AllocatedBytes);
        json.WriteNumber("gsis", resources.Gsis);
        json.WriteNumber("memorySlots", resources.MemorySlots);
        if (resources.DmaMappingsLeft is { } left)
            json.WriteNumber("dmaMappingsLeft", left);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, KvmStatistics statistics)
    {
        var values = new long[statistics.ValueCount];
        statistics.Read(values);
        foreach (var item in statistics.Items)
        {
            if (item.Count == 1)
            {
                json.WriteNumber(item.Name, values[item.Index]);
                continue;
            }
            json.WriteStartArray(item.Name);
            foreach (var bucket in values.AsSpan(item.Index, item.Count))
                json.WriteNumberValue(bucket);
            json.WriteEndArray();
        }
    }
}
