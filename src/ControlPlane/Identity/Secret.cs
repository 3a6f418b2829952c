using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Exitless.ControlPlane.Identity;

/// <summary>Secrets of 256 random bits. So much chance needs no slow hash: SHA-256 of the whole is what is kept.</summary>
internal static class Secret
{
    public const string EnrolmentPrefix = "exen_";
    public const string ApiPrefix = "exat_";

    /// <summary>How much of an API token may be shown, to know it by.</summary>
    public const int ShownCharacters = 10;

    public static string Make(string prefix) => prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    public static byte[] Hash(string secret) => SHA256.HashData(Encoding.UTF8.GetBytes(secret));

    /// <summary>A password that can be read aloud and typed: 20 letters and digits without those that look alike (about 114 bits).</summary>
    public static string Password() => RandomNumberGenerator.GetString("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", 20);
}
