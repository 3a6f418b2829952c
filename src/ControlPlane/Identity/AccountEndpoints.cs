using Exitless.ControlPlane.Api;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;

namespace Exitless.ControlPlane.Identity;

/// <summary>Signing in and out by plain forms.</summary>
internal static class AccountEndpoints
{
    public static void MapAccount(this IEndpointRouteBuilder app)
    {
        app.MapPost(AccountPaths.SignIn, SignInAsync).AllowAnonymous().ExcludeFromDescription();
        app.MapPost(AccountPaths.SignOut, SignOutAsync).RequireAuthorization().ExcludeFromDescription();
    }

    internal static async Task<LocalRedirectResult> SignInAsync([FromForm] string? user, [FromForm] string? password, [FromForm] string? returnUrl, SignInManager<Person> signIn)
    {
        // Only ways back into this site: an absolute URL would make the login page a trampoline.
        var back = returnUrl is ['/', ..] && !returnUrl.StartsWith("//", StringComparison.Ordinal) && !returnUrl.StartsWith("/\\", StringComparison.Ordinal) ? returnUrl : "/";
        var result = await signIn.PasswordSignInAsync(user ?? "", password ?? "", isPersistent: true, lockoutOnFailure: true);
        return new LocalRedirectResult(result.Succeeded ? back : $"{AccountPaths.LoginPage}?failed={(result.IsLockedOut ? "locked" : "password")}&returnUrl={Uri.EscapeDataString(back)}");
    }

    internal static async Task<LocalRedirectResult> SignOutAsync([FromForm] string? returnUrl, HttpContext context)
    {
        _ = returnUrl;
        await context.SignOutAsync(IdentityConstants.ApplicationScheme);
        return new LocalRedirectResult(AccountPaths.LoginPage);
    }
}

/// <summary>303: the form was taken; what follows is a GET.</summary>
internal sealed class LocalRedirectResult(string path) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = StatusCodes.Status303SeeOther;
        httpContext.Response.Headers.Location = path;
        return Task.CompletedTask;
    }
}
