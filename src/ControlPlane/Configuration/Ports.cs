using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace Exitless.ControlPlane.Configuration;

/// <summary>The ports as they are, once they listen; before that, as they are configured.</summary>
internal sealed class Ports(IOptions<ControlPlaneOptions> options)
{
    private ListenOptions? _people;
    private ListenOptions? _agents;

    public int People => _people?.EndPoint is IPEndPoint p ? p.Port : options.Value.HttpsPort;

    public int Agents => _agents?.EndPoint is IPEndPoint p ? p.Port : options.Value.AgentPort;

    public void Set(ListenOptions people, ListenOptions agents) => (_people, _agents) = (people, agents);
}
