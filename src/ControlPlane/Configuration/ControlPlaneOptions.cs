using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Configuration;

/// <summary>The section <c>Exitless</c> of the configuration, checked once, at the start.</summary>
internal sealed class ControlPlaneOptions
{
    public const string Section = "Exitless";

    /// <summary>Name of the connection string that replaces the private PostgreSQL.</summary>
    public const string ConnectionStringName = "ControlPlane";

    /// <summary>Port for people, REST and hubs; 0: any free one.</summary>
    public int HttpsPort { get; set; } = 7443;

    /// <summary>Port for agents; 0: any free one.</summary>
    public int AgentPort { get; set; } = 7444;

    /// <summary>IP address that both ports listen on.</summary>
    public string BindAddress { get; set; } = "127.0.0.1";

    /// <summary>The CA's key, the private PostgreSQL, and nothing that cannot be backed up by copying it while stopped.</summary>
    public string DataFolder { get; set; } = "";

    /// <summary>Certificate for people, PEM (with <see cref="CertificateKey"/>) or PFX; null: one from the control plane's own CA.</summary>
    public string? Certificate { get; set; }

    /// <summary>PEM file of the certificate's key; null: it is in the certificate's file.</summary>
    public string? CertificateKey { get; set; }

    /// <summary>Password of the PFX or of the key.</summary>
    public string? CertificatePassword { get; set; }

    /// <summary>Further names and addresses that the server certificate of the own CA shall carry, separated by commas.</summary>
    public string? CertificateNames { get; set; }

    /// <summary>How long an operation may take before it fails.</summary>
    public TimeSpan OperationLimit { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>Days that metrics are kept.</summary>
    public int MetricsDays { get; set; } = 30;

    /// <summary>Days that events and finished operations are kept.</summary>
    public int HistoryDays { get; set; } = 365;

    /// <summary>Connection string of the database; null: a private PostgreSQL in the data folder.</summary>
    public string? ConnectionString { get; set; }

    /// <summary>Binaries of the private PostgreSQL: the folder with <c>postgres</c> and <c>initdb</c>; null: the newest of the machine.</summary>
    public string? PostgresBinaries { get; set; }

    /// <summary>False only in tests: the private PostgreSQL then does not wait for the disk.</summary>
    public bool DurableDatabase { get; set; } = true;

    public IPAddress Address => IPAddress.Parse(BindAddress);

    /// <summary>The default data folder: <c>.data</c> in the checkout that <paramref name="contentRoot"/> lies in, or in the content root itself.</summary>
    public static string DefaultDataFolder(string contentRoot)
    {
        for (var folder = new DirectoryInfo(contentRoot); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "ControlPlane.sln")))
                return Path.Combine(folder.FullName, ".data");
        }
        return Path.Combine(contentRoot, ".data");
    }

    public void Complete(IConfiguration configuration, string contentRoot)
    {
        if (string.IsNullOrWhiteSpace(DataFolder))
            DataFolder = DefaultDataFolder(contentRoot);
        DataFolder = Path.GetFullPath(DataFolder, contentRoot);
        var connection = configuration.GetConnectionString(ConnectionStringName);
        if (!string.IsNullOrWhiteSpace(connection))
            ConnectionString = connection;
    }
}

/// <summary>Collects every mistake, so that one start shows them all.</summary>
internal sealed class ControlPlaneOptionsRules : IValidateOptions<ControlPlaneOptions>
{
    public ValidateOptionsResult Validate(string? name, ControlPlaneOptions options)
    {
        var mistakes = new List<string>();
        Port(nameof(options.HttpsPort), options.HttpsPort);
        Port(nameof(options.AgentPort), options.AgentPort);
        if (options.HttpsPort != 0 && options.HttpsPort == options.AgentPort)
            mistakes.Add($"Exitless:HttpsPort and Exitless:AgentPort are both {options.HttpsPort}: people and agents need a port each.");
        if (!IPAddress.TryParse(options.BindAddress, out _))
            mistakes.Add($"Exitless:BindAddress '{options.BindAddress}' is not an IP address; use 127.0.0.1, 0.0.0.0 or :: for instance.");
        if (options.Certificate is { } certificate && !File.Exists(certificate))
            mistakes.Add($"Exitless:Certificate names '{certificate}', which does not exist.");
        if (options.CertificateKey is { } key && !File.Exists(key))
            mistakes.Add($"Exitless:CertificateKey names '{key}', which does not exist.");
        if (options.OperationLimit < TimeSpan.FromSeconds(1) || options.OperationLimit > TimeSpan.FromDays(7))
            mistakes.Add($"Exitless:OperationLimit is {options.OperationLimit}; it must lie between 00:00:01 and 7.00:00:00.");
        if (options.MetricsDays is < 1 or > 3650)
            mistakes.Add($"Exitless:MetricsDays is {options.MetricsDays}; it must lie between 1 and 3650.");
        if (options.HistoryDays is < 1 or > 3650)
            mistakes.Add($"Exitless:HistoryDays is {options.HistoryDays}; it must lie between 1 and 3650.");
        return mistakes.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(mistakes);

        void Port(string key, int value)
        {
            if (value is < 0 or > 65535)
                mistakes.Add($"Exitless:{key} is {value}; a port lies between 1 and 65535 (0: any free one).");
        }
    }
}
