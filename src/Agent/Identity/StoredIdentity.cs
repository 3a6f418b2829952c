using System.Text.Json.Serialization;

namespace Exitless.Agent.Identity;

internal sealed record StoredIdentity(Uri Server, string KeyPem, string CertificatePem, string AuthorityPem);

[JsonSerializable(typeof(StoredIdentity))]
internal sealed partial class IdentityJson : JsonSerializerContext;
