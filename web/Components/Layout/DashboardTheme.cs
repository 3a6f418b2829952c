using MudBlazor;

namespace Exitless.Web.Components.Layout;

/// <summary>Type and measures for MudBlazor. Its colours come from wwwroot/css/theme.css, so that light and dark switch in the browser, before anything is painted and with no round trip.</summary>
internal static class DashboardTheme
{
    private static readonly string[] Family = ["var(--font-ui)"];

    public static MudTheme Theme { get; } = new()
    {
        LayoutProperties = new LayoutProperties { DefaultBorderRadius = "6px", DrawerWidthLeft = "208px", AppbarHeight = "48px" },
        Typography = new Typography
        {
            Default = new DefaultTypography { FontFamily = Family, FontSize = "13px", LineHeight = "1.5", LetterSpacing = "0" },
            Body1 = new Body1Typography { FontFamily = Family, FontSize = "13px", LineHeight = "1.5", LetterSpacing = "0" },
            Body2 = new Body2Typography { FontFamily = Family, FontSize = "13px", LineHeight = "1.5", LetterSpacing = "0" },
            Button = new ButtonTypography { FontFamily = Family, FontSize = "13px", FontWeight = "550", TextTransform = "none", LetterSpacing = "0" },
            H6 = new H6Typography { FontFamily = Family, FontSize = "15.5px", FontWeight = "620", LetterSpacing = "-.01em" },
            Caption = new CaptionTypography { FontFamily = Family, FontSize = "12px", LetterSpacing = "0" },
            Subtitle2 = new Subtitle2Typography { FontFamily = Family, FontSize = "13px", LetterSpacing = "0" },
        },
    };
}
