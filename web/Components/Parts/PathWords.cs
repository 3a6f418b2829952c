using Exitless.ControlPlane.Api;

namespace Exitless.Web.Components.Parts;

/// <summary>How interrupts reach a VM, in words.</summary>
internal static class PathWords
{
    public static string Of(InterruptPolicy policy) => policy switch
    {
        InterruptPolicy.Auto => "auto: the best path that the host has",
        InterruptPolicy.Posted => "posted, or the VM does not start",
        InterruptPolicy.Eli => "direct (ELI), or the VM does not start",
        InterruptPolicy.Injected => "injected, even where the host could post",
    };
}
