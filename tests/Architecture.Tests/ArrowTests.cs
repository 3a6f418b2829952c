using System.Xml.Linq;

namespace Exitless.Architecture.Tests;

/// <summary>The arrows between rooms go one way; docs/architecture.md draws them, this test keeps them true.</summary>
public sealed class ArrowTests
{
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["src/Linux"] = [],
        ["src/Vmm"] = ["src/Linux"],
        ["src/VmmHost"] = ["src/Vmm"],
        ["src/GuestReporter"] = ["src/Linux"],
        ["src/Contracts"] = [],
        ["src/Agent"] = ["src/Vmm", "src/Linux", "src/Contracts"],
        ["src/ControlPlane"] = ["src/Contracts"],
        ["src/Simulator"] = ["src/Contracts"],
        ["migrations"] = ["src/ControlPlane"],
        ["web"] = ["src/ControlPlane", "migrations"],
        ["src/Cli"] = [],
        ["src/Lab"] = [],
        ["src/Run"] = ["src/Lab"],
    };

    [Fact]
    public void Rooms_reference_only_what_the_picture_allows()
    {
        foreach (var (room, allowed) in Allowed)
        {
            var folder = Checkout.At(room);
            var project = Assert.Single(Directory.GetFiles(folder, "*.csproj"));
            var references = XDocument.Load(project).Descendants("ProjectReference")
                .Select(r => Path.GetRelativePath(Checkout.At(""), Path.GetDirectoryName(Path.GetFullPath(Path.Combine(folder, r.Attribute("Include")!.Value)))!));
            Assert.All(references, r => Assert.Contains(r, allowed));
        }
    }

    [Fact]
    public void Every_room_is_in_the_picture()
    {
        var rooms = Directory.GetFiles(Checkout.At("src"), "*.csproj", SearchOption.AllDirectories)
            .Select(p => Path.GetRelativePath(Checkout.At(""), Path.GetDirectoryName(p)!));
        Assert.All(rooms, r => Assert.Contains(r, Allowed.Keys));
    }
}
