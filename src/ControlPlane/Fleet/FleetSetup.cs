using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Hosts;
using Exitless.ControlPlane.Operations;
using Exitless.ControlPlane.Vms;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Fleet;

internal static class FleetSetup
{
    /// <summary>What the dashboard reads of the whole fleet.</summary>
    public static IServiceCollection AddFleet(this IServiceCollection services) => services
        .AddSingleton<HostDirectory>().AddSingleton<VmService>().AddSingleton<OperationLog>()
        .AddSingleton<IFleetLists, FleetLists>().AddSingleton<IFleetOverview, FleetOverview>();
}
