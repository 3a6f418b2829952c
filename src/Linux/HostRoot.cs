namespace Exitless.Linux;

/// <summary>Where /sys, /proc, /dev and /etc are read from: "/" on a host, a folder that holds a recorded tree of a real machine in a test.</summary>
/// <param name="path">The folder that stands for "/".</param>
public sealed class HostRoot(string path)
{
    /// <summary>This machine.</summary>
    public static HostRoot Machine { get; } = new("/");

    /// <summary>The folder that stands for "/".</summary>
    public string Path { get; } = path;

    /// <summary>A path below sysfs, as in <c>Sys("bus/pci/devices")</c>.</summary>
    public string Sys(string below) => System.IO.Path.Combine(Path, "sys", below);

    /// <summary>A path below procfs.</summary>
    public string Proc(string below) => System.IO.Path.Combine(Path, "proc", below);

    /// <summary>A path below /dev.</summary>
    public string Dev(string below) => System.IO.Path.Combine(Path, "dev", below);

    /// <summary>Any absolute path, below this root.</summary>
    public string At(string absolute) => System.IO.Path.Combine(Path, absolute.TrimStart('/'));
}
