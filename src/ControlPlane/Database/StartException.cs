namespace Exitless.ControlPlane.Database;

/// <summary>Why the control plane cannot start, in words for the person at the terminal: what is wrong, and what to do.</summary>
internal sealed class StartException(string what, string remedy, Exception? inner = null) : Exception($"{what} {remedy}", inner);
