namespace Exitless.Lab.Initramfs;

/// <summary>The shell scripts of host and guest, which travel inside this assembly.</summary>
internal static class Script
{
    /// <summary>The text of one script.</summary>
    public static string Read(string name)
    {
        using var stream = typeof(Script).Assembly.GetManifestResourceStream("scripts/" + name)
            ?? throw new ArgumentException($"No script {name} is embedded.", nameof(name));
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
