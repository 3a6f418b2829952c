using Exitless.ControlPlane;

namespace Exitless.Web;

/// <summary>The host of it all: the control plane, and the dashboard on top of it.</summary>
internal static class Program
{
    public static Task<int> Main(string[] args) => Build(args).RunControlPlaneAsync(args);

    /// <summary>The application, ready to run; tests run it too.</summary>
    internal static WebApplication Build(string[] args)
    {
        var builder = WebApplication.CreateBuilder(args);
        builder.AddControlPlane(args);
        builder.Services.AddDashboard();
        var app = builder.Build();
        app.UseDashboard();
        app.UseControlPlane();
        app.MapControlPlane();
        app.MapDashboard();
        return app;
    }
}
