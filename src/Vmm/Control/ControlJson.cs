using System.Text.Json.Serialization;

namespace Exitless.Vmm.Control;

/// <summary>A problem on the wire.</summary>
internal sealed record WireProblem(string Code, string Title, string Detail, string Remedy, string Field)
{
    public static WireProblem Of(VmmProblemException problem) => new(problem.Code, problem.Title, problem.Detail, problem.Remedy, problem.Field);

    public VmmProblemException ToException() => new(Code, Title, Detail, Remedy, Field);
}

/// <summary>Unknown members are ignored and missing ones have defaults, so that neighbouring versions understand each other.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(VmmHello))]
[JsonSerializable(typeof(VmConfig))]
[JsonSerializable(typeof(WireProblem))]
[JsonSerializable(typeof(VmEnd))]
[JsonSerializable(typeof(VmRestart))]
[JsonSerializable(typeof(List<DeviceVectors>))]
[JsonSerializable(typeof(List<SandboxAttempt>))]
[JsonSerializable(typeof(VmmResources))]
[JsonSerializable(typeof(List<VcpuLook>))]
[JsonSerializable(typeof(AttachRequest))]
[JsonSerializable(typeof(DetachRequest))]
[JsonSerializable(typeof(SwitchRequest))]
[JsonSerializable(typeof(VmmDeviceEvent))]
internal sealed partial class ControlJson : JsonSerializerContext;
