namespace Exitless.Simulator;

/// <summary>What a simulated host is made of. Every number is checked by <see cref="Check"/>.</summary>
/// <param name="Pfs">Physical functions with SR-IOV, 0 to 8.</param>
/// <param name="Vfs">VFs that each PF has when the host starts, 0 to <paramref name="TotalVfs"/>.</param>
/// <param name="TotalVfs">The most VFs a PF can have (<c>sriov_totalvfs</c>), 0 to 128.</param>
/// <param name="NumaNodes">NUMA nodes, 1 to 8.</param>
/// <param name="Cpus">CPUs of all nodes together, a multiple of <paramref name="NumaNodes"/>, at most 1024.</param>
/// <param name="MemoryGib">Memory of all nodes together.</param>
/// <param name="Vms">VMs that a fleet creates on the host through REST, each with one VF as long as there are free ones.</param>
/// <param name="Vectors">MSI-X vectors of each VF, 1 to 64; the first is its mailbox, which is silent.</param>
public sealed record SimulatedShape(int Pfs = 2, int Vfs = 8, int TotalVfs = 63, int NumaNodes = 2, int Cpus = 64, int MemoryGib = 256, int Vms = 0, int Vectors = 3)
{
    /// <summary>Refuses a shape that no host has.</summary>
    /// <exception cref="ArgumentException">A number is out of range; the message names it, the limit and the remedy.</exception>
    public void Check()
    {
        Within(Pfs, 0, 8, "PFs");
        Within(TotalVfs, 0, 128, "VFs that a PF can have");
        Within(Vfs, 0, TotalVfs, "VFs of each PF");
        Within(NumaNodes, 1, 8, "NUMA nodes");
        Within(Cpus, NumaNodes, 1024, "CPUs");
        Within(MemoryGib, 1, 64 * 1024, "GiB of memory");
        Within(Vms, 0, 1000, "VMs of each host");
        Within(Vectors, 1, 64, "vectors of each VF");
        if (Cpus % NumaNodes != 0)
            throw new ArgumentException($"{Cpus} CPUs cannot be shared evenly by {NumaNodes} NUMA nodes; give a multiple of {NumaNodes}.");
    }

    private static void Within(int value, int least, int most, string what)
    {
        if (value < least || value > most)
            throw new ArgumentException($"{value} {what} are not between {least} and {most}; give a number between them.");
    }
}
