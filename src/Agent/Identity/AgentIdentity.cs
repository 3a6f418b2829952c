using System.Security.Cryptography.X509Certificates;

namespace Exitless.Agent.Identity;

/// <summary>Who this agent is to its control plane.</summary>
/// <param name="HostId">The certificate's subject CN.</param>
/// <param name="Certificate">With its private key.</param>
/// <param name="Authority">The one CA that is trusted.</param>
internal sealed record AgentIdentity(string HostId, X509Certificate2 Certificate, X509Certificate2 Authority) : IDisposable
{
    /// <summary>When to ask for a new certificate: at two thirds of its life.</summary>
    public DateTimeOffset RenewAt
    {
        get
        {
            var start = new DateTimeOffset(Certificate.NotBefore.ToUniversalTime());
            var end = new DateTimeOffset(Certificate.NotAfter.ToUniversalTime());
            return start + (end - start) * 2 / 3;
        }
    }

    public void Dispose()
    {
        Certificate.Dispose();
        Authority.Dispose();
    }
}
