using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Exitless.Agent.Storage;

namespace Exitless.Agent.Identity;

/// <summary>
/// The agent's key, certificate, CA and server address in one file, mode 0600, replaced as a whole: there is never a certificate beside the key of another.
/// </summary>
internal sealed class CertificateStore(string stateFolder)
{
    private readonly string _path = Path.Combine(stateFolder, "identity.json");

    public bool IsEnrolled => File.Exists(_path);

    /// <summary>The address that the agent enrolled at; null: not enrolled.</summary>
    public Uri? Server => Read()?.Server;

    /// <summary>Reads the identity.</summary>
    /// <exception cref="AgentException">Not enrolled, or the file is damaged.</exception>
    public AgentIdentity Load()
    {
        var stored = Read() ?? throw new AgentException("This host is not enrolled.", "Run: exitless-agent enrol --server … --token … --authority-fingerprint …");
        try
        {
            using var withoutKey = X509Certificate2.CreateFromPem(stored.CertificatePem);
            using var key = ECDsa.Create();
            key.ImportFromPem(stored.KeyPem);
            var authority = X509Certificate2.CreateFromPem(stored.AuthorityPem);
            var certificate = withoutKey.CopyWithPrivateKey(key);
            return new AgentIdentity(certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false), certificate, authority);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new AgentException($"{_path} is damaged: {e.Message}", "Enrol this host again with a new token.", e);
        }
    }

    public void Save(Uri server, ECDsa key, string certificatePem, string authorityPem) =>
        Write(new StoredIdentity(server, key.ExportPkcs8PrivateKeyPem(), certificatePem, authorityPem));

    /// <summary>Keeps the server's address and puts a new key and certificate in the old ones' place.</summary>
    public void Renew(ECDsa key, string certificatePem, string authorityPem) => Save(Read()!.Server, key, certificatePem, authorityPem);

    private void Write(StoredIdentity identity) =>
        AtomicFile.Write(_path, JsonSerializer.SerializeToUtf8Bytes(identity, IdentityJson.Default.StoredIdentity));

    private StoredIdentity? Read()
    {
        if (!IsEnrolled)
            return null;
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(_path), IdentityJson.Default.StoredIdentity);
        }
        catch (JsonException e)
        {
            throw new AgentException($"{_path} is damaged: {e.Message}", "Enrol this host again with a new token.", e);
        }
    }
}
