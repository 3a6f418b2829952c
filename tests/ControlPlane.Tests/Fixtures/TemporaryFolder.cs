namespace Exitless.ControlPlane.Tests.Fixtures;

/// <summary>A folder that goes with its test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("exitless-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
