using Exitless.GuestReporter;
using Exitless.Linux;

const string Usage = """
    exitless-guest-reporter          tells the host once a second how many interrupts this guest has counted, by PCI function and vector; runs until it is ended
    exitless-guest-reporter --once   prints such a report and ends

    """;
var reporter = new Reporter(TimeProvider.System);
try
{
    switch (args)
    {
        case []:
            await reporter.RunAsync();
            return 0;
        case ["--once"]:
            using (var output = Console.OpenStandardOutput())
                output.Write(reporter.Take());
            return 0;
        case ["--help"]:
            Console.Out.Write(Usage);
            return 0;
        default:
            Console.Error.Write($"exitless-guest-reporter: '{string.Join(' ', args)}' is not understood.\n{Usage}");
            return 2;
    }
}
catch (LinuxException e)
{
    Console.Error.WriteLine($"exitless-guest-reporter: {e.Message}. /proc must be mounted and readable.");
    return 1;
}
