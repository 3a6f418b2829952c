using Exitless.Lab;
using Exitless.Lab.CommandLine;

try
{
    return await LabCommands.Root().Parse(args).InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(30) });
}
catch (LabException e)
{
    await Console.Error.WriteLineAsync($"exitless-lab: {e.Problem}{Environment.NewLine}  {e.Remedy}");
    return 1;
}
catch (TimeoutException e)
{
    await Console.Error.WriteLineAsync($"exitless-lab: {e.Message}");
    return 1;
}
catch (OperationCanceledException)
{
    return 130;
}
