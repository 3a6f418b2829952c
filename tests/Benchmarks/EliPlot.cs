using System.Globalization;
using System.Text;

namespace Exitless.Benchmarks;

/// <summary>Exits for each device interrupt over the packet rate, one line a mode, as SVG that reads on light and dark pages.</summary>
internal static class EliPlot
{
    private const int Width = 640, Height = 320, Left = 56, Right = 190, Top = 20, Bottom = 48;
    private static readonly string[] Colours = ["#d1495b", "#e0a030", "#2a9d6f"];

    public static string Draw(EliResults results)
    {
        var most = Math.Ceiling(results.Modes.SelectMany(m => m.Rates).Max(r => Value(r.Window)));
        var rates = results.Modes[0].Rates.Select(r => r.Rate).ToArray();
        var (wide, high) = (Width - Left - Right, Height - Top - Bottom);
        double X(int rate) => Left + (wide * (Math.Log(rate) - Math.Log(rates[0])) / (Math.Log(rates[^1]) - Math.Log(rates[0])));
        double Y(double value) => Top + (high * (1 - (value / most)));
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{Width}\" height=\"{Height}\" rx=\"6\" fill=\"#ffffff\"/>\n");
        for (var line = 0; line <= 4; line++)
        {
            var value = most * line / 4;
            svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Left} {Y(value):0.0}h{wide}\" stroke=\"#dddddd\"/><text x=\"{Left - 8}\" y=\"{Y(value) + 4:0.0}\" text-anchor=\"end\" fill=\"#444444\">{value:0.##}</text>\n");
        }
        foreach (var rate in rates)
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(rate):0.0}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\" fill=\"#444444\">{rate}</text>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left + (wide / 2)}\" y=\"{Height - 8}\" text-anchor=\"middle\" fill=\"#444444\">packets a second asked for</text>\n<text transform=\"translate(14 {Top + (high / 2)}) rotate(-90)\" text-anchor=\"middle\" fill=\"#444444\">exits for each device interrupt</text>\n");
        foreach (var (mode, n) in results.Modes.Select((m, n) => (m, n)))
        {
            var points = string.Join(' ', mode.Rates.Select(r => string.Create(CultureInfo.InvariantCulture, $"{X(r.Rate):0.0},{Y(Value(r.Window)):0.0}")));
            svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{points}\" fill=\"none\" stroke=\"{Colours[n]}\" stroke-width=\"2\"/>\n");
            foreach (var (rate, window) in mode.Rates)
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(rate):0.0}\" cy=\"{Y(Value(window)):0.0}\" r=\"3\" fill=\"{Colours[n]}\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Width - Right + 14} {Top + 12 + (n * 20)}h16\" stroke=\"{Colours[n]}\" stroke-width=\"2\"/><text x=\"{Width - Right + 36}\" y=\"{Top + 16 + (n * 20)}\" fill=\"#222222\">{Short(mode.Direct)}</text>\n");
        }
        return svg.Append("</svg>\n").ToString();
    }

    private static string Short(string direct) => direct switch { "none" => "injected", "deliveryOnly" => "delivery only", _ => "delivery, completion" };

    private static double Value(EliWindow window) => window.Interrupts == 0 ? 0 : window.Exits / (double)window.Interrupts;
}
