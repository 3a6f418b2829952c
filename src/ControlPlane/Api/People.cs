namespace Exitless.ControlPlane.Api;

/// <summary>Where people sign in. The login page is a plain form, with an antiforgery token, that posts to <see cref="SignIn"/>.</summary>
public static class AccountPaths
{
    /// <summary>The login page, which the dashboard draws. Query: <c>returnUrl</c>, and <c>failed=password</c> or <c>failed=locked</c> after a refused attempt.</summary>
    public const string LoginPage = "/login";

    /// <summary>POST of a form with <c>user</c>, <c>password</c> and <c>returnUrl</c>: redirects to the return URL, or to the login page.</summary>
    public const string SignIn = "/account/sign-in";

    /// <summary>POST of a form with an antiforgery token: signs out and redirects to the login page.</summary>
    public const string SignOut = "/account/sign-out";
}
