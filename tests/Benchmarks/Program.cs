using Exitless.Benchmarks;
using Exitless.Benchmarks.Dashboard;
using Exitless.Benchmarks.Fleet;

return args switch
{
    ["vmm", .. var rest] => await VmmBenchmark.RunAsync(rest),
    ["eli", .. var rest] => await EliBenchmark.RunAsync(rest),
    ["start", .. var rest] => await StartBenchmark.RunAsync(rest),
    ["watching", .. var rest] => await WatchingBenchmark.RunAsync(rest),
    ["dashboard", .. var rest] => await DashboardBenchmark.RunAsync(rest),
    ["fleet", .. var rest] => await FleetBenchmark.RunAsync(rest),
    _ => Unknown(),
};

static int Unknown()
{
    Console.Error.WriteLine("""
        Usage: Benchmarks vmm [--kvmtool PATH] [--agent PATH] [--output FILE] [--direct-only] [--long]
               Benchmarks eli [--agent PATH] [--output FILE] [--long]
               Benchmarks start [--agent PATH]... [--rounds N]
               Benchmarks watching [--agent PATH] [--output FILE] [--seconds N]
               Benchmarks dashboard [--output FILE] [--seconds N] [--hosts N] [--vms N]
               Benchmarks fleet [--output FILE] [--hosts N] [--rows ROW,...] [--long]
        """);
    return 2;
}
