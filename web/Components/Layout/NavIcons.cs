namespace Exitless.Web.Components.Layout;

/// <summary>Line icons of the navigation: paths on a 24 × 24 grid.</summary>
internal static class NavIcons
{
    public const string Overview = "M4 4h7v7H4zM13 4h7v4h-7zM13 11h7v9h-7zM4 14h7v6H4z";
    public const string Devices = "M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4";
    public const string Hosts = "M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01";
    public const string Vms = "M3 5h18v11H3zM8 20h8M12 16v4";
    public const string Doctor = "M3 12h4l2-6 4 12 2-6h6";
    public const string Operations = "M4 6h10M4 12h16M4 18h7M17 4l3 2-3 2M15 16l2 2 4-4";
    public const string Events = "M12 3v9l6 3M12 21a9 9 0 1 1 0-18 9 9 0 0 1 0 18z";
    public const string Audit = "M7 3h10v18H7zM10 8h4M10 12h4M10 16h2M4 6v12M20 6v12";
    public const string Wall = "M3 4h8v7H3zM13 4h8v7h-8zM3 13h8v7H3zM13 13h8v7h-8zM4 9l2-2 2 1 2-2";
    public const string Compare = "M4 17l4-6 4 3 4-8 4 5M4 20h16";
    public const string Settings = "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4";
}
