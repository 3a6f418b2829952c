using System.Text.Json;
using Exitless.ControlPlane.Rest;

namespace Exitless.ControlPlane.Backup;

/// <summary>What a backup says of itself: the first entry of its tar archive.</summary>
/// <param name="Format">1.</param>
/// <param name="TakenAt">When the copy of the database was begun; it holds what was committed by then.</param>
/// <param name="Version">The program that made it.</param>
/// <param name="Migration">The newest migration of its tables: a program that does not know it is too old to restore it.</param>
/// <param name="Metrics">Whether metric rows are in it.</param>
internal sealed record BackupManifest(int Format, DateTimeOffset TakenAt, string Version, string Migration, bool Metrics)
{
    public const int CurrentFormat = 1;

    public const string Entry = "manifest.json";
    public const string DatabaseEntry = "database.dump";
    public const string AuthorityFolder = "authority/";

    /// <summary>The CA's files, which agents pin: without them no agent would come back.</summary>
    public static readonly IReadOnlyList<string> AuthorityFiles = ["ca.crt", "ca.key"];

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, JsonFormat.Options);

    /// <exception cref="JsonException">It is no manifest.</exception>
    public static BackupManifest Parse(Stream json) => JsonSerializer.Deserialize<BackupManifest>(json, JsonFormat.Options) ?? throw new JsonException("It is empty.");
}
