using System.CommandLine;
using System.CommandLine.Parsing;
using Exitless.Agent.Machines;

namespace Exitless.Agent.Commands;

/// <summary>Options that several commands share, and how a failure is told.</summary>
internal static class CommonOptions
{
    public static Option<string> StateFolder() => new("--state-dir")
    {
        Description = "Where the certificate, the wanted state and the images are kept.",
        DefaultValueFactory = _ => "/var/lib/exitless",
    };

    public static Option<string> RunFolder() => new("--run-dir")
    {
        Description = "Where running VMs have their sockets and consoles; empty after a boot of the host.",
        DefaultValueFactory = _ => "/run/exitless",
    };

    public static Option<Uri?> Server(bool required) => new("--server")
    {
        Description = "The control plane's agent port, such as https://control-plane.example:7444.",
        Required = required,
        CustomParser = ParseServer,
    };

    public static Option<string?> Token(bool required) => new("--token") { Description = "The one-time token of the dashboard's enrolment page.", Required = required };

    public static Option<string?> Fingerprint(bool required) => new("--authority-fingerprint")
    {
        Description = "The fingerprint of the control plane's CA, sha256:‹64 hexadecimal digits›, from the same page.",
        Required = required,
    };

    public static Option<VfioInterface> Vfio()
    {
        var option = new Option<VfioInterface>("--vfio")
        {
            Description = "How VMs get their devices: by iommufd, by IOMMU groups, or by the former where the kernel has it (auto).",
            DefaultValueFactory = _ => VfioInterface.Auto,
            CustomParser = ParseVfio,
        };
        option.HelpName = "auto|groups|iommufd";
        return option;
    }

    public static int Tell(AgentException e)
    {
        Console.Error.WriteLine($"exitless-agent: {e.Message}");
        Console.Error.WriteLine($"  {e.Remedy}");
        return 1;
    }

    public static int Tell(ProblemException e)
    {
        var problem = e.Problem;
        Console.Error.WriteLine($"exitless-agent: {problem.Title.TrimEnd('.')}. {problem.Detail}");
        Console.Error.WriteLine($"  {problem.Remedy} [{problem.Code}{(problem.Field.Length > 0 ? $", {problem.Field}" : "")}]");
        return 1;
    }

    private static VfioInterface ParseVfio(ArgumentResult result)
    {
        var text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        switch (text)
        {
            case "auto": return VfioInterface.Auto;
            case "groups": return VfioInterface.Groups;
            case "iommufd": return VfioInterface.Iommufd;
            default:
                result.AddError($"--vfio takes auto, groups or iommufd, not '{text}'.");
                return VfioInterface.Auto;
        }
    }

    private static Uri? ParseServer(ArgumentResult result)
    {
        var text = result.Tokens.Count > 0 ? result.Tokens[^1].Value : "";
        if (Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttps && uri.Host.Length > 0)
            return uri;
        result.AddError($"--server '{text}' is no address of the form https://host:7444.");
        return null;
    }
}
