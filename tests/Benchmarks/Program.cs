using Exitless.Benchmarks;

return args switch
{
    ["vmm", .. var rest] => await VmmBenchmark.RunAsync(rest),
    ["eli", .. var rest] => await EliBenchmark.RunAsync(rest),
    ["start", .. var rest] => await StartBenchmark.RunAsync(rest),
    ["watching", .. var rest] => await WatchingBenchmark.RunAsync(rest),
    _ => Unknown(),
};

static int Unknown()
{
    Console.Error.WriteLine("""
        Usage: Benchmarks vmm [--kvmtool PATH] [--agent PATH] [--output FILE] [--direct-only] [--long]
               Benchmarks eli [--agent PATH] [--output FILE] [--long]
               Benchmarks start [--agent PATH]... [--rounds N]
               Benchmarks watching [--agent PATH] [--output FILE] [--seconds N]
        """);
    return 2;
}
