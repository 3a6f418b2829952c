namespace Exitless.Vmm.Boot.FromDisk;

/// <summary>What a boot loader would have started.</summary>
/// <param name="Kernel">Path in the file system that the entry was found in.</param>
/// <param name="Initrds">Paths of the initrds; the kernel sees them one behind the other.</param>
/// <param name="Options">The kernel's command line.</param>
/// <param name="Source">Where the entry was found, for messages.</param>
internal sealed record BootEntry(string Kernel, IReadOnlyList<string> Initrds, string Options, string Source);
