using Exitless.Lab.Cache;

namespace Exitless.Lab.Tests.Cache;

public sealed class AptSourceTests
{
    // As Debian 12's container images have it, with another host name.
    private const string Paragraphs = """
        Types: deb
        # A comment between fields
        URIs: http://mirror.example/debian
        Suites: bookworm bookworm-updates
        Components: main
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

        Types: deb
        URIs: http://mirror.example/debian-security
        Suites: bookworm-security
        Components: main
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

        """;

    [Fact]
    public void The_release_s_own_source_is_found_among_paragraphs()
    {
        var source = AptSourceReader.FindMain(AptSourceReader.ReadParagraphs(Paragraphs), "bookworm", ["oldstable"]);
        Assert.Equal(["http://mirror.example/debian"], source.Uris);
        Assert.Equal("""
            Types: deb
            URIs: http://mirror.example/debian
            Suites: bookworm bookworm-backports
            Components: main
            Architectures: amd64
            Targets: Packages
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

            """, source.WithSuites(["bookworm", "bookworm-backports"]));
    }

    [Fact]
    public void A_key_inside_the_source_keeps_its_lines()
    {
        const string text = """
            Types: deb deb-src
            URIs: http://mirror.example/debian
            Suites: trixie
            Components: main contrib
            Signed-By:
             -----BEGIN PGP PUBLIC KEY BLOCK-----
             .
             abcd
             -----END PGP PUBLIC KEY BLOCK-----

            """;
        var source = Assert.Single(AptSourceReader.ReadParagraphs(text));
        Assert.EndsWith("Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC KEY BLOCK-----\n", source.WithSuites(["trixie"]));
    }

    [Theory]
    [InlineData("Types: deb-src\nURIs: http://a.example\nSuites: bookworm\nComponents: main\n")]
    [InlineData("Types: deb\nEnabled: no\nURIs: http://a.example\nSuites: bookworm\nComponents: main\n")]
    public void A_source_that_serves_no_packages_is_passed_over(string text)
        => Assert.Empty(AptSourceReader.ReadParagraphs(text));

    [Fact]
    public void One_line_sources_are_read_with_their_options()
    {
        const string text = """
            # deb http://off.example/debian bookworm main
            deb-src http://mirror.example/debian bookworm main
            deb cdrom:[Debian 12]/ bookworm main
            deb [ arch=amd64 signed-by=/etc/keys/a.gpg,/etc/keys/b.gpg check-valid-until=no ] http://mirror.example/debian bookworm main contrib # mine
            """;
        var sources = AptSourceReader.ReadLines(text).ToList();
        Assert.Equal(2, sources.Count);
        var source = AptSourceReader.FindMain(sources, "bookworm", []);
        Assert.Equal(["main", "contrib"], source.Components);
        Assert.Equal("/etc/keys/a.gpg /etc/keys/b.gpg", source.Options["Signed-By"]);
        Assert.Contains("Check-Valid-Until: no\n", source.WithSuites(["bookworm"]));
        Assert.DoesNotContain("Arch:", source.WithSuites(["bookworm"]));
    }

    [Fact]
    public void A_source_named_by_stable_counts_when_the_release_is_stable()
    {
        var sources = AptSourceReader.ReadLines("deb http://mirror.example/debian stable main\n");
        Assert.Equal(["stable"], AptSourceReader.FindMain(sources, "trixie", ["stable"]).Suites);
    }

    [Fact]
    public void A_machine_without_the_release_s_source_is_told_so()
    {
        var sources = AptSourceReader.ReadLines("deb http://mirror.example/debian bookworm-security main\n");
        var problem = Assert.Throws<LabException>(() => AptSourceReader.FindMain(sources, "bookworm", []));
        Assert.Contains("bookworm main", problem.Problem);
        Assert.Contains("/etc/apt", problem.Remedy);
    }

    [Fact]
    public void Both_formats_are_read_from_the_folder_and_other_files_are_not()
    {
        using var folder = new TemporaryFolder();
        folder.Write("sources.list", "deb http://one.example/debian bookworm main\n");
        folder.Write("sources.list.d/debian.sources", Paragraphs);
        folder.Write("sources.list.d/old.list.save", "deb http://saved.example/debian bookworm main\n");
        Assert.Equal(["http://one.example/debian", "http://mirror.example/debian", "http://mirror.example/debian-security"],
            AptSourceReader.ReadAll(folder.Path).SelectMany(s => s.Uris));
    }
}
