namespace Exitless.ControlPlane.Projects;

/// <summary>A project, as it is stored; null limits nothing.</summary>
internal sealed class ProjectRow
{
    public required Guid Id { get; init; }

    public required string Name { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }

    public int? MostVms { get; set; }

    public int? MostVcpus { get; set; }

    public int? MostMemoryMib { get; set; }

    public int? MostVfs { get; set; }
}
