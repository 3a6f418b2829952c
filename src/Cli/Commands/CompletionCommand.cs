using System.CommandLine;

namespace Exitless.Cli.Commands;

/// <summary><c>completion</c>: what a shell runs to complete the command's words, which come from the command itself.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        _exitless() {
            local IFS=$'\n'
            COMPREPLY=($(exitless complete "${COMP_POINT}" "${COMP_LINE}" 2>/dev/null))
        }
        complete -F _exitless exitless
        """;

    private const string Zsh = """
        #compdef exitless
        _exitless() {
            local -a words
            words=("${(@f)$(exitless complete "${CURSOR}" "${BUFFER}" 2>/dev/null)}")
            compadd -a words
        }
        compdef _exitless exitless
        """;

    private const string Fish = """
        complete -f -c exitless -a '(exitless complete (commandline -C) (commandline -p) 2>/dev/null)'
        """;

    /// <param name="session">Where answers go.</param>
    /// <param name="root">The whole command line, once it is made.</param>
    public static IEnumerable<Command> Make(Session session, Func<Command> root)
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or fish" }.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var script = new Command("completion", "Prints a script that completes the command in a shell: source <(exitless completion bash)") { shell };
        script.SetAction(async (parsed, _) =>
        {
            await session.Output.WriteLineAsync(parsed.GetRequiredValue(shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish });
            return 0;
        });
        yield return script;

        var position = new Argument<int>("position");
        var line = new Argument<string>("line");
        var complete = new Command("complete", "Prints the words that can follow in a line, for the scripts of 'completion'.") { position, line };
        complete.Hidden = true;
        complete.SetAction(async (parsed, _) =>
        {
            // The first word is the command's own name, whatever it is called by.
            var text = parsed.GetRequiredValue(line);
            var first = text.IndexOf(' ', StringComparison.Ordinal) + 1;
            var typed = first == 0 ? "" : text[first..Math.Clamp(parsed.GetRequiredValue(position), first, text.Length)];
            foreach (var word in root().Parse(typed).GetCompletions(typed.Length))
                await session.Output.WriteLineAsync(word.InsertText ?? word.Label);
            return 0;
        });
        yield return complete;
    }
}
