using System.CommandLine;
using Exitless.Agent.Identity;
using Exitless.Linux;

namespace Exitless.Agent.Commands;

internal static class EnrolCommand
{
    public static Command Create()
    {
        var state = CommonOptions.StateFolder();
        var server = CommonOptions.Server(required: true);
        var token = CommonOptions.Token(required: true);
        var fingerprint = CommonOptions.Fingerprint(required: true);
        var command = new Command("enrol", "Turns a one-time token into this host's certificate.") { state, server, token, fingerprint };
        command.SetAction(async (parsed, stop) =>
        {
            try
            {
                var store = new CertificateStore(parsed.GetValue(state)!);
                await new Enroller(store, new ServerChannel(TimeProvider.System), HostRoot.Machine)
                    .EnrolAsync(parsed.GetValue(server)!, parsed.GetValue(token)!, parsed.GetValue(fingerprint)!, stop);
                using var identity = store.Load();
                Console.WriteLine($"Enrolled as host {identity.HostId}.");
                return 0;
            }
            catch (AgentException e)
            {
                return CommonOptions.Tell(e);
            }
        });
        return command;
    }
}
