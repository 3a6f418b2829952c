using Exitless.Cli.Commands;

namespace Exitless.Cli;

/// <summary>The <c>exitless</c> command: the REST API for a person at a terminal, and for scripts.</summary>
internal static class Program
{
    public static Task<int> Main(string[] args) => CommandLine.RunAsync(args, Console.Out, Console.Error, Environment.GetEnvironmentVariable, CancellationToken.None);
}
