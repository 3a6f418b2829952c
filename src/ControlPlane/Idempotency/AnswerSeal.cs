using System.Security.Cryptography;
using System.Text;

namespace Exitless.ControlPlane.Idempotency;

/// <summary>
/// Seals a stored answer with what only its caller knows: an answer can hold the one copy of a secret, and the database keeps no secrets that it could tell.
/// AES-256-GCM under a key that HKDF-SHA-256 (RFC 5869) draws from the caller's credential and the idempotency key.
/// </summary>
internal sealed class AnswerSeal(string credential, string idempotencyKey)
{
    private const int NonceBytes = 12;
    private const int TagBytes = 16;

    private readonly byte[] _key = HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes($"{credential}\n{idempotencyKey}"), 32, info: "exitless answer"u8.ToArray());

    /// <summary>Nonce, tag and ciphertext.</summary>
    public byte[] Close(ReadOnlySpan<byte> plain)
    {
        var sealedBytes = new byte[NonceBytes + TagBytes + plain.Length];
        var nonce = sealedBytes.AsSpan(0, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(_key, TagBytes);
        aes.Encrypt(nonce, plain, sealedBytes.AsSpan(NonceBytes + TagBytes), sealedBytes.AsSpan(NonceBytes, TagBytes));
        return sealedBytes;
    }

    /// <summary>What was sealed; null: by another credential.</summary>
    public byte[]? Open(ReadOnlySpan<byte> sealedBytes)
    {
        var plain = new byte[sealedBytes.Length - NonceBytes - TagBytes];
        using var aes = new AesGcm(_key, TagBytes);
        try
        {
            aes.Decrypt(sealedBytes[..NonceBytes], sealedBytes[(NonceBytes + TagBytes)..], sealedBytes.Slice(NonceBytes, TagBytes), plain);
            return plain;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }
}
