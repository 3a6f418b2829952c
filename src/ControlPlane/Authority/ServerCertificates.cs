using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Exitless.ControlPlane.Configuration;
using Exitless.ControlPlane.Database;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Authority;

/// <summary>The certificates that the two ports show: kept on disk, so that a browser's trust survives a restart, and renewed when a third of their life is left.</summary>
internal sealed partial class ServerCertificates : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private readonly CertificateAuthority _authority;
    private readonly ControlPlaneOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<ServerCertificates> _logger;
    private volatile X509Certificate2 _people;
    private volatile X509Certificate2 _agents;

    public ServerCertificates(CertificateAuthority authority, IOptions<ControlPlaneOptions> options, TimeProvider time, ILogger<ServerCertificates> logger)
    {
        (_authority, _options, _time, _logger) = (authority, options.Value, time, logger);
        _people = Given() ?? Own("people", PeopleNames());
        _agents = Own("agents", [CertificateAuthority.AgentServerName]);
    }

    /// <summary>For people, REST and hubs.</summary>
    public X509Certificate2 People => _people;

    /// <summary>For agents.</summary>
    public X509Certificate2 Agents => _agents;

    /// <summary>Renews what has a third of its life left, or reads the given files again.</summary>
    public void Renew()
    {
        _people = Given() ?? Own("people", PeopleNames());
        _agents = Own("agents", [CertificateAuthority.AgentServerName]);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                Renew();
            }
            catch (Exception e) when (e is StartException or IOException or CryptographicException)
            {
                LogNotRenewed(_logger, e);
            }
        }
    }

    private List<string> PeopleNames()
    {
        var names = new List<string> { "localhost", "127.0.0.1", "::1", Environment.MachineName.ToLowerInvariant() };
        if (!_options.Address.Equals(IPAddress.Any) && !_options.Address.Equals(IPAddress.IPv6Any))
            names.Add(_options.Address.ToString());
        names.AddRange((_options.CertificateNames ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        return [.. names.Where(n => Uri.CheckHostName(n) != UriHostNameType.Unknown).Distinct(StringComparer.OrdinalIgnoreCase)];
    }

    private X509Certificate2? Given()
    {
        if (_options.Certificate is not { } file)
            return null;
        try
        {
            if (X509Certificate2.GetCertContentType(file) == X509ContentType.Pkcs12)
                return X509CertificateLoader.LoadPkcs12FromFile(file, _options.CertificatePassword);
            return _options.CertificatePassword is { } password
                ? X509Certificate2.CreateFromEncryptedPemFile(file, password, _options.CertificateKey)
                : X509Certificate2.CreateFromPemFile(file, _options.CertificateKey);
        }
        catch (CryptographicException e)
        {
            throw new StartException($"The certificate '{file}' cannot be read: {e.Message}", "Give a PEM file (with Exitless:CertificateKey) or a PFX (with Exitless:CertificatePassword).", e);
        }
    }

    private X509Certificate2 Own(string name, List<string> names)
    {
        var file = Path.Combine(_authority.Folder, name + ".pem");
        if (Kept(file, names) is { } kept)
            return kept;
        var made = _authority.IssueServer(names[0], names);
        DataFolder.WriteSecret(file, made.ExportCertificatePem() + "\n" + made.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem() + "\n");
        LogIssued(_logger, name, string.Join(", ", names), made.NotAfter.ToUniversalTime());
        return made;
    }

    private X509Certificate2? Kept(string file, List<string> names)
    {
        if (!File.Exists(file))
            return null;
        try
        {
            var kept = X509Certificate2.CreateFromPemFile(file);
            var left = kept.NotAfter.ToUniversalTime() - _time.GetUtcNow().UtcDateTime;
            if (left > CertificateAuthority.ServerLife / 3 && kept.IssuerName.RawData.AsSpan().SequenceEqual(_authority.Certificate.SubjectName.RawData) && names.TrueForAll(n => kept.MatchesHostname(n, allowWildcards: false)))
                return kept;
            kept.Dispose();
        }
        catch (CryptographicException)
        {
            // Not readable: a new one takes its place.
        }
        return null;
    }

    [LoggerMessage(1102, LogLevel.Information, "Issued a server certificate for {Name}: {Names}, until {NotAfter:u}.")]
    private static partial void LogIssued(ILogger logger, string name, string names, DateTime notAfter);

    [LoggerMessage(1103, LogLevel.Error, "The server certificates were not renewed; trying again in an hour.")]
    private static partial void LogNotRenewed(ILogger logger, Exception exception);
}
