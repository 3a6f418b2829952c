using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Text;
using Exitless.Linux.Confinement;

namespace Exitless.Linux;

/// <summary>A process to start.</summary>
public sealed record SpawnRequest
{
    /// <summary>The program's file.</summary>
    public required string Path { get; init; }

    /// <summary>Its arguments, without its own name.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Variables of its environment besides, or instead of, the starter's.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Where standard output and error go (created, appended to); null for /dev/null. Standard input is always /dev/null.</summary>
    public string? OutputPath { get; init; }
}

/// <summary>
/// posix_spawn(3) for processes that outlive their starter: a session of their own, no descriptor but the standard three,
/// every signal at its default and none blocked (the .NET runtime ignores SIGPIPE and its threads block others, which exec would hand on).
/// </summary>
public static unsafe partial class ProcessSpawn
{
    private const short SetDefaultSignals = 4, SetSignalMask = 8, SetSession = 0x80;
    private const int AttributeBytes = 336, ActionsBytes = 80, SignalSetBytes = 128;
    private const int WriteCreateAppend = 0x1 | 0x40 | 0x400;

    /// <summary>Starts a process.</summary>
    /// <exception cref="LinuxException">The program could not be started; nothing is left behind.</exception>
    public static ProcessDescriptor Start(SpawnRequest request)
    {
        var attributes = stackalloc byte[AttributeBytes];
        var actions = stackalloc byte[ActionsBytes];
        var signals = stackalloc byte[SignalSetBytes];
        Check(AttributesInit(attributes), "posix_spawnattr_init");
        Check(ActionsInit(actions), "posix_spawn_file_actions_init");
        try
        {
            new Span<byte>(signals, SignalSetBytes).Clear();
            Check(AttributesSetMask(attributes, signals), "posix_spawnattr_setsigmask");
            new Span<byte>(signals, SignalSetBytes).Fill(0xff);
            Check(AttributesSetDefault(attributes, signals), "posix_spawnattr_setsigdefault");
            Check(AttributesSetFlags(attributes, SetDefaultSignals | SetSignalMask | SetSession), "posix_spawnattr_setflags");
            Check(ActionsOpen(actions, 0, "/dev/null", 0, 0), "posix_spawn_file_actions_addopen");
            Check(ActionsOpen(actions, 1, request.OutputPath ?? "/dev/null", WriteCreateAppend, 0x180), "posix_spawn_file_actions_addopen");
            Check(ActionsDuplicate(actions, 1, 2), "posix_spawn_file_actions_adddup2");
            Check(ActionsCloseFrom(actions, 3), "posix_spawn_file_actions_addclosefrom_np");
            return Start(request, attributes, actions);
        }
        finally
        {
            _ = AttributesDestroy(attributes);
            _ = ActionsDestroy(actions);
        }
    }

    /// <summary>
    /// As <see cref="Start(SpawnRequest)"/>, with namespaces of its own for the process: mounts, network (without any link), IPC, host name. A child is born into its starting thread's, so a
    /// thread that lives for this alone leaves the host's first: no thread of the process was ever outside, and the starter stays where it is.
    /// </summary>
    /// <param name="request">The process.</param>
    /// <param name="refused">Why it has its starter's namespaces after all (a container that forbids unshare(2)); null: it has its own.</param>
    /// <exception cref="LinuxException">The program could not be started; nothing is left behind.</exception>
    public static ProcessDescriptor StartInOwnNamespaces(SpawnRequest request, out LinuxException? refused)
    {
        const int stackBytes = 256 << 10;
        ProcessDescriptor? process = null;
        LinuxException? failure = null, stays = null;
        var thread = new Thread(
            () =>
            {
                stays = TryLeaveNamespaces();
                try
                {
                    process = Start(request);
                }
                catch (LinuxException e)
                {
                    failure = e;
                }
            },
            stackBytes)
        { IsBackground = true, Name = "spawn" };
        thread.Start();
        thread.Join();
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
        refused = stays;
        return process!;
    }

    private static LinuxException? TryLeaveNamespaces()
    {
        try
        {
            Privileges.LeaveNamespaces();
            return null;
        }
        catch (LinuxException e)
        {
            return e;
        }
    }

    private static ProcessDescriptor Start(SpawnRequest request, byte* attributes, byte* actions)
    {
        using var arguments = new CStrings([request.Path, .. request.Arguments]);
        var environment = Environment.GetEnvironmentVariables();
        var pairs = new List<string>(environment.Count);
        foreach (System.Collections.DictionaryEntry entry in environment)
        {
            if (!request.Environment.ContainsKey((string)entry.Key))
                pairs.Add($"{entry.Key}={entry.Value}");
        }
        foreach (var (name, value) in request.Environment)
            pairs.Add($"{name}={value}");
        using var variables = new CStrings(pairs);
        Check(Spawn(out var id, request.Path, actions, attributes, arguments.Pointer, variables.Pointer), $"posix_spawn {request.Path}");
        // Not yet reaped, so the number is still this child's.
        return ProcessDescriptor.Open(id) ?? throw new LinuxException($"pidfd_open {id}", Errno.NoProcess);
    }

    private static void Check(int error, string call)
    {
        if (error != 0)
            throw new LinuxException(call, error);
    }

    /// <summary>A null-terminated array of C strings.</summary>
    private sealed class CStrings : IDisposable
    {
        public CStrings(IReadOnlyList<string> values)
        {
            Pointer = (byte**)NativeMemory.AllocZeroed((nuint)values.Count + 1, (nuint)sizeof(byte*));
            for (var i = 0; i < values.Count; i++)
            {
                var length = Encoding.UTF8.GetByteCount(values[i]);
                Pointer[i] = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
                Encoding.UTF8.GetBytes(values[i], new Span<byte>(Pointer[i], length));
            }
        }

        public byte** Pointer { get; }

        public void Dispose()
        {
            for (var i = 0; Pointer[i] is not null; i++)
                NativeMemory.Free(Pointer[i]);
            NativeMemory.Free(Pointer);
        }
    }

    [LibraryImport("libc", EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Spawn(out int id, string path, byte* actions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static partial int AttributesInit(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static partial int AttributesDestroy(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static partial int AttributesSetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static partial int AttributesSetMask(byte* attributes, byte* set);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static partial int AttributesSetDefault(byte* attributes, byte* set);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int ActionsInit(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int ActionsDestroy(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ActionsOpen(byte* actions, int descriptor, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int ActionsDuplicate(byte* actions, int descriptor, int copy);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addclosefrom_np")]
    private static partial int ActionsCloseFrom(byte* actions, int first);
}
