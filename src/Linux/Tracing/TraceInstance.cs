using System.Globalization;
using System.Text;
using Exitless.Linux.Sysfs;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Linux.Tracing;

/// <summary>
/// A tracing instance of our own in tracefs (Documentation/trace/ftrace.rst, "Instances"): its triggers and its filter of threads are apart from everybody else's.
/// Disposing takes the instance away, and with it all that was set in it.
/// </summary>
public sealed class TraceInstance : IDisposable
{
    private readonly string _folder;

    private TraceInstance(string folder) => _folder = folder;

    /// <summary>Where the instances of this host are; null where tracefs is not mounted or not open to us.</summary>
    public static string? Folder(HostRoot root) =>
        ((string[])["kernel/tracing/instances", "kernel/debug/tracing/instances"]).Select(root.Sys).FirstOrDefault(Directory.Exists);

    /// <summary>The names of the instances that are there.</summary>
    public static IReadOnlyList<string> Names(HostRoot root) => Folder(root) is { } folder ? SysfsFile.Names(folder) : [];

    /// <summary>Makes an instance. Its ring buffer, into which nothing is written, is cut to the least.</summary>
    /// <exception cref="IOException">tracefs is not mounted, or the kernel refuses.</exception>
    /// <exception cref="UnauthorizedAccessException">Not permitted: not root, or the kernel is locked down.</exception>
    public static TraceInstance Create(HostRoot root, string name)
    {
        var folder = Folder(root) ?? throw new DirectoryNotFoundException($"{root.Sys("kernel/tracing/instances")} is not there.");
        var instance = new TraceInstance(Path.Combine(folder, name));
        Directory.CreateDirectory(instance._folder);
        try
        {
            // Otherwise it is 1.4 MiB for each CPU.
            instance.Write("buffer_size_kb", "4");
            return instance;
        }
        catch
        {
            instance.Dispose();
            throw;
        }
    }

    /// <summary>Takes away an instance that another process has left.</summary>
    /// <exception cref="IOException">Somebody uses it.</exception>
    public static void Remove(HostRoot root, string name)
    {
        if (Folder(root) is { } folder)
            Directory.Delete(Path.Combine(folder, name));
    }

    /// <summary>Sets a trigger of an event (Documentation/trace/histogram.rst).</summary>
    /// <param name="name">The event, as in <c>kvm/kvm_exit</c>.</param>
    /// <param name="trigger">As in <c>hist:keys=exit_reason</c>.</param>
    /// <exception cref="IOException">The event is not there, or the kernel refuses the trigger.</exception>
    public void SetTrigger(string name, string trigger) => Write($"events/{name}/trigger", trigger);

    /// <summary>From now on events of these threads alone are seen.</summary>
    /// <param name="threads">Thread ids; none would be all.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void OnlyThreads(IEnumerable<int> threads)
    {
        using var file = Files.Open(Path.Combine(_folder, "set_event_pid"), OpenMode.Write | OpenMode.Truncate);
        Files.WriteAll(file, Encoding.ASCII.GetBytes(string.Join(' ', threads.Select(t => t.ToString(CultureInfo.InvariantCulture))) + "\n"));
    }

    /// <summary>The histogram of an event's trigger. Close it before the instance.</summary>
    /// <exception cref="LinuxException">There is none.</exception>
    public SafeFileHandle OpenHistogram(string name) => Files.Open(Path.Combine(_folder, "events", name, "hist"), OpenMode.Read);

    /// <inheritdoc />
    public void Dispose()
    {
        try
        {
            Directory.Delete(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is gone already, or somebody has a file of it open; then the next start of an agent takes it away.
        }
    }

    private void Write(string file, string text)
    {
        using var handle = Files.Open(Path.Combine(_folder, file), OpenMode.Write);
        Files.WriteAll(handle, Encoding.ASCII.GetBytes(text));
    }
}
