using Exitless.Agent.Storage;
using Exitless.Contracts;
using Google.Protobuf;

namespace Exitless.Agent.Wanted;

/// <summary>The newest wanted state, on disk before anything is done about it: the host can restart its VMs without the control plane.</summary>
internal sealed class WantedStore(string stateFolder)
{
    private readonly string _path = Path.Combine(stateFolder, "wanted.bin");
    private WantedState? _current;

    public WantedState? Current => Volatile.Read(ref _current);

    public ulong Generation => Current?.Generation ?? 0;

    /// <summary>Reads what an earlier agent stored.</summary>
    /// <exception cref="AgentException">The file is damaged.</exception>
    public WantedState? Load()
    {
        if (!File.Exists(_path))
            return null;
        try
        {
            var loaded = WantedState.Parser.ParseFrom(File.ReadAllBytes(_path));
            Volatile.Write(ref _current, loaded);
            return loaded;
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new AgentException($"{_path} is damaged: {e.Message}", "Remove the file: the control plane sends the wanted state again when the agent connects.", e);
        }
    }

    /// <summary>Stores a wanted state durably.</summary>
    /// <returns>False: it is older than the stored one, which stays. A replica of the control plane that lags behind must not undo what was decided since.</returns>
    public bool Save(WantedState wanted)
    {
        if (wanted.Generation < Generation)
            return false;
        AtomicFile.Write(_path, wanted.ToByteArray());
        Volatile.Write(ref _current, wanted);
        return true;
    }
}
