using System.Text;
using Exitless.Linux;
using Exitless.Vmm.Control;
using Microsoft.Win32.SafeHandles;

namespace Exitless.Vmm.Seed;

/// <summary>The disk by which cloud-init is told what to do (its NoCloud data source): labelled CIDATA, with user-data, meta-data and, if given, network-config.</summary>
internal static class NoCloudSeed
{
    public const string DiskId = "cidata";

    /// <summary>Bytes that all parts may have together; they travel in one launch request.</summary>
    public const int MostBytes = 512 * 1024;

    /// <summary>Checks the sizes.</summary>
    /// <exception cref="VmmProblemException">seed-too-large.</exception>
    public static void Check(SeedConfig seed)
    {
        var bytes = Encoding.UTF8.GetByteCount(seed.UserData) + Encoding.UTF8.GetByteCount(seed.MetaData) + Encoding.UTF8.GetByteCount(seed.NetworkConfig);
        if (bytes > MostBytes)
            throw new VmmProblemException("seed-too-large", "The cloud-init data is too large.", $"It has {bytes:#,0} bytes; {MostBytes:#,0} are allowed.", "Let user-data fetch what is large (#include).", "seed");
    }

    /// <summary>Makes the image in memory.</summary>
    public static SafeFileHandle Make(VmConfig config, SeedConfig seed)
    {
        // Without meta-data cloud-init takes the seed for none. An instance id that stays the same makes it run once only.
        var meta = seed.MetaData.Length > 0 ? seed.MetaData : $"instance-id: {config.VmId}\nlocal-hostname: {HostName(config.Name)}\n";
        List<(string, byte[])> files = [("USER-DATA.;1", Encoding.UTF8.GetBytes(seed.UserData)), ("META-DATA.;1", Encoding.UTF8.GetBytes(meta))];
        if (seed.NetworkConfig.Length > 0)
            files.Add(("NETWORK-CONFIG.;1", Encoding.UTF8.GetBytes(seed.NetworkConfig)));
        var image = Iso9660.Write("CIDATA", files);
        var file = MemoryFile.Create("exitless-seed", image.Length);
        for (var done = 0; done < image.Length;)
        {
            var count = Files.TryWriteAt(file, image.AsSpan(done), done, out var error);
            if (count <= 0)
            {
                file.Dispose();
                throw new LinuxException("write of the cloud-init seed", error);
            }
            done += count;
        }
        return file;
    }

    private static string HostName(string name)
    {
        var host = string.Concat(name.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')).Trim('-');
        return host.Length switch { 0 => "guest", > 63 => host[..63].TrimEnd('-'), _ => host };
    }
}
