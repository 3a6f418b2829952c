using System.CommandLine;
using Exitless.Agent.Doctor;
using Exitless.Linux;
using Google.Protobuf;

namespace Exitless.Agent.Commands;

/// <summary>What keeps VMs on this host, or on a recorded one, from exit-less interrupts. Exit code 0: nothing, 1: warnings, 2: blockers.</summary>
internal static class DoctorCommand
{
    public static Command Create()
    {
        var state = CommonOptions.StateFolder();
        var json = new Option<bool>("--json") { Description = "Print the findings as JSON." };
        var bundle = new Option<string?>("--bundle") { Description = "Pack what was read into this file (tar.gz), without serial numbers, MACs and names of hosts." };
        var recorded = new Option<string?>("--recorded") { Description = "Look at a bundle, or at a folder that stands for /, instead of this host." };
        var command = new Command("doctor", "Says what keeps VMs on this host from exit-less interrupts, and what to do. Exit code 0: fine, 1: warnings, 2: blockers.") { state, json, bundle, recorded };
        command.SetAction(parsed =>
        {
            try
            {
                return Run(parsed.GetValue(state)!, parsed.GetValue(json), parsed.GetValue(bundle), parsed.GetValue(recorded));
            }
            catch (AgentException e)
            {
                CommonOptions.Tell(e);
                return 3;
            }
        });
        return command;
    }

    private static int Run(string state, bool json, string? bundle, string? recorded)
    {
        string? unpacked = null;
        try
        {
            var root = recorded is null ? HostRoot.Machine : Directory.Exists(recorded) ? new HostRoot(Path.GetFullPath(recorded)) : Unpack(recorded, out unpacked);
            var diagnosis = new HostDoctor(root, Path.GetFullPath(state)).Diagnose();
            if (json)
                Console.WriteLine(new JsonFormatter(JsonFormatter.Settings.Default.WithIndentation().WithFormatDefaultValues(true)).Format(diagnosis.Report));
            else
                ReportText.Write(Console.Out, diagnosis.Findings);
            if (recorded is null && !Environment.IsPrivilegedProcess)
                Console.Error.WriteLine("exitless-agent: run as root to have the kernel's log, ACS and the vector allocator looked at too.");
            if (bundle is not null)
                Write(bundle, diagnosis.Files, Agent.HostFacts.Name(root));
            return diagnosis.ExitCode;
        }
        finally
        {
            if (unpacked is not null)
                Directory.Delete(unpacked, recursive: true);
        }
    }

    private static HostRoot Unpack(string path, out string folder)
    {
        folder = Directory.CreateTempSubdirectory("exitless-doctor-").FullName;
        try
        {
            using var file = File.OpenRead(path);
            return Bundle.Unpack(file, folder);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException)
        {
            throw new AgentException($"{path} cannot be read: {e.Message}", "Name a bundle, or a folder that stands for /.", e);
        }
    }

    private static void Write(string path, HostFiles files, string hostName)
    {
        try
        {
            using var file = File.Create(path);
            Bundle.Write(file, files, hostName);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AgentException($"{path} cannot be written: {e.Message}", "Name a file in a folder that exists, with room on its disk.", e);
        }
    }
}
