using System.Diagnostics;
using Exitless.Run.Stack;
using Microsoft.Playwright;

namespace Exitless.Browser.Simulated;

/// <summary>What people do in a day, as they would do it, with screenshots kept.</summary>
public sealed class JourneyTests(SimulatedFixture simulated) : SimulatedTests(simulated)
{
    [Fact]
    public async Task Declare_VFs()
    {
        var page = await Simulated.SignedInAsync();
        await page.GetByTestId("host-link").Filter(new LocatorFilterOptions { HasText = "sim-0004" }).ClickAsync();
        await page.GetByTestId("set-vfs-0000:20:00.0").ClickAsync();
        await page.GetByTestId("vf-count").FillAsync("12");
        await SimulatedFixture.KeepAsync(page, "journey-vfs-1-dialog");
        await page.GetByTestId("submit").ClickAsync();
        await page.GetByTestId("device-0000:20:11.3").WaitForAsync();
        await SimulatedFixture.KeepAsync(page, "journey-vfs-2-done");
    }

    [Fact]
    public async Task Create_a_VM_watch_it_and_type_into_its_console()
    {
        var page = await Simulated.SignedInAsync();
        await page.Keyboard.PressAsync("Control+k");
        await page.GetByTestId("palette-input").FillAsync("create");
        await Assertions.Expect(page.GetByTestId("palette-item")).ToHaveCountAsync(1);
        await page.Keyboard.PressAsync("Enter");
        await page.GetByTestId("vm-name").FillAsync("journey");
        await page.GetByText("Find a host for it").ClickAsync();
        await Assertions.Expect(page.GetByTestId("placement-answer")).ToContainTextAsync(", node ");
        await page.GetByTestId("placement-take").ClickAsync();
        await Assertions.Expect(page.GetByTestId("vf-picker").Locator("input[type=checkbox]:checked")).ToHaveCountAsync(1);
        await page.GetByText("The same by REST").ClickAsync();
        await Assertions.Expect(page.GetByTestId("create-vm-curl")).ToContainTextAsync("\"name\":\"journey\"");
        await SimulatedFixture.KeepAsync(page, "journey-vm-1-create");
        await page.GetByTestId("submit").ClickAsync();
        await Assertions.Expect(page.GetByTestId("vm-title")).ToHaveTextAsync("journey");
        await Assertions.Expect(page.GetByTestId("vm-state")).ToHaveTextAsync("Running");
        await Assertions.Expect(page.GetByTestId("interrupts-per-second")).Not.ToHaveAttributeAsync("data-value", "");
        await Assertions.Expect(page.GetByTestId("grade-verdict")).ToContainTextAsync("xit-less");
        await SimulatedFixture.KeepAsync(page, "journey-vm-2-watch");

        await page.GetByTestId("tab-console").ClickAsync();
        await Assertions.Expect(page.GetByTestId("console-screen")).ToContainTextAsync("guest journey is up");
        await page.GetByTestId("console-screen").ClickAsync();
        await page.Keyboard.TypeAsync("hello");
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page.GetByTestId("console-screen")).ToContainTextAsync("simulated: hello");
        await SimulatedFixture.KeepAsync(page, "journey-vm-3-console");
    }

    [Fact]
    public async Task Find_a_VM_by_keys_alone_and_send_somebody_the_list()
    {
        var page = await Simulated.SignedInAsync();
        await page.Keyboard.PressAsync("g");
        await page.Keyboard.PressAsync("v");
        await page.GetByTestId("vm-link").First.WaitForAsync();
        await page.Keyboard.PressAsync("/");
        await page.Keyboard.TypeAsync("sim-0003-vm-2");
        await Assertions.Expect(page.GetByTestId("vm-link")).ToHaveCountAsync(1);
        var sent = page.Url;
        var other = await page.Context.NewPageAsync();
        await other.GotoAsync(sent);
        await Assertions.Expect(other.GetByTestId("vm-link")).ToHaveTextAsync("sim-0003-vm-2");
        await SimulatedFixture.KeepAsync(other, "journey-list");
    }

    [Fact]
    public async Task Export_a_list()
    {
        var page = await Simulated.SignedInAsync();
        await page.GotoAsync("/devices?kind=vf&use=owned");
        await page.GetByTestId("list-row").First.WaitForAsync();
        var file = await page.RunAndWaitForDownloadAsync(() => page.GetByTestId("list-csv").ClickAsync());
        Assert.Equal("devices.csv", file.SuggestedFilename);
        var lines = await File.ReadAllLinesAsync(await file.PathAsync(), TestContext.Current.CancellationToken);
        Assert.True(lines.Length > 12, $"{lines.Length} lines");
        Assert.Equal("\uFEFFAddress,Host,Kind,Device,Driver,NUMA,Use".TrimStart('\uFEFF'), lines[0].TrimStart('\uFEFF'));
    }

    [Fact]
    public async Task Make_a_token_use_it_and_revoke_it()
    {
        var page = await Simulated.SignedInAsync();
        await page.GotoAsync("/settings");
        await page.GetByTestId("api-token-name").FillAsync("journey");
        await page.GetByTestId("make-api-token").ClickAsync();
        var token = await page.GetByTestId("api-token").InnerTextAsync();
        await SimulatedFixture.KeepAsync(page, "journey-token-1-made");
        using var rest = new RestClient(Simulated.Stack.Server.Address, token, Path.Combine(Simulated.Stack.Server.DataFolder, "authority.pem"));
        await rest.GetAsync("api/v1/vms", TestContext.Current.CancellationToken);
        await page.GetByTestId("api-tokens").Locator("tr", new LocatorLocatorOptions { HasText = "journey" }).GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Revoke" }).ClickAsync();
        await page.GetByTestId("confirm").ClickAsync();
        await Assertions.Expect(page.GetByTestId("api-tokens").Locator("tr", new LocatorLocatorOptions { HasText = "journey" })).ToHaveCountAsync(0);
        await Assert.ThrowsAsync<RestProblemException>(() => rest.GetAsync("api/v1/vms", TestContext.Current.CancellationToken));
        await SimulatedFixture.KeepAsync(page, "journey-token-2-revoked");
    }

    [Fact]
    public async Task Enrol_a_host_with_the_command_that_is_shown()
    {
        var page = await Simulated.SignedInAsync();
        await page.GotoAsync("/settings");
        await page.GetByTestId("make-enrolment-token").ClickAsync();
        var commands = (await page.GetByTestId("enrol-command").InnerTextAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await SimulatedFixture.KeepAsync(page, "journey-enrol-1-command");
        // The agent itself, on this machine, which only lacks what makes it a host of VMs.
        var folder = Directory.CreateTempSubdirectory("exitless-enrol-");
        try
        {
            using (var enrol = Agent(commands[0], $"--state-dir {folder.FullName}"))
            {
                await enrol.WaitForExitAsync(TestContext.Current.CancellationToken);
                Assert.Equal(0, enrol.ExitCode);
            }
            using var run = Agent(commands[1], $"--state-dir {folder.FullName} --run-dir {folder.FullName}");
            try
            {
                await page.GotoAsync($"/hosts?q={Uri.EscapeDataString(Environment.MachineName)}");
                await Assertions.Expect(page.GetByTestId("list-row")).ToContainTextAsync("Linked", new LocatorAssertionsToContainTextOptions { IgnoreCase = true, Timeout = 30_000 });
                await SimulatedFixture.KeepAsync(page, "journey-enrol-2-linked");
            }
            finally
            {
                run.Kill();
                await run.WaitForExitAsync(CancellationToken.None);
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        static Process Agent(string shown, string more)
        {
            Assert.StartsWith("exitless-agent ", shown, StringComparison.Ordinal);
            var started = new ProcessStartInfo(Checkout.At("artifacts/agent/exitless-agent"), $"{shown["exitless-agent ".Length..]} {more}") { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
            var process = Process.Start(started)!;
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            return process;
        }
    }

    [Fact]
    public async Task Give_somebody_a_project_and_read_the_audit_log()
    {
        var page = await Simulated.SignedInAsync();
        await page.GotoAsync("/settings");
        await page.GetByTestId("make-project").ClickAsync();
        await page.GetByTestId("project-name").FillAsync("journey-project");
        await page.GetByTestId("quota-vfs").FillAsync("3");
        await SimulatedFixture.KeepAsync(page, "journey-audit-1-project");
        await page.GetByTestId("submit").ClickAsync();
        await page.GetByTestId("submit").WaitForAsync(new LocatorWaitForOptions { State = WaitForSelectorState.Detached });
        await Assertions.Expect(page.GetByTestId("projects")).ToContainTextAsync("0 of 3");
        await page.GetByTestId("person-name").FillAsync("grace");
        await page.GetByTestId("make-person").ClickAsync();
        var password = await page.GetByTestId("person-password").InnerTextAsync();
        await page.GetByTestId("people").Locator("tr", new LocatorLocatorOptions { HasText = "grace" }).GetByRole(AriaRole.Button, new LocatorGetByRoleOptions { Name = "Change the roles of grace" }).ClickAsync();
        await page.GetByTestId("add-role").ClickAsync();
        await page.GetByTestId("grant-place").Last.ClickAsync();
        await page.GetByRole(AriaRole.Option, new PageGetByRoleOptions { Name = "project journey-project" }).ClickAsync();
        await SimulatedFixture.KeepAsync(page, "journey-audit-2-roles");
        await page.GetByTestId("submit").ClickAsync();
        await page.GetByTestId("submit").WaitForAsync(new LocatorWaitForOptions { State = WaitForSelectorState.Detached });

        await Assertions.Expect(page.GetByTestId("people")).ToContainTextAsync("viewer in the whole fleet; viewer in project journey-project");

        await page.GotoAsync("/audit?q=journey-project");
        await Assertions.Expect(page.GetByTestId("list-row")).ToHaveCountAsync(1);
        await Assertions.Expect(page.GetByTestId("list-row")).ToContainTextAsync("mostVfs: 3");
        await page.GotoAsync("/audit?kind=person");
        await Assertions.Expect(page.GetByTestId("list-row").First).ToContainTextAsync("grace");
        await Assertions.Expect(page.Locator("main")).Not.ToContainTextAsync(password);
        await SimulatedFixture.KeepAsync(page, "journey-audit-3-log");

        // Who may only look is told so.
        var other = await Simulated.NewPageAsync();
        await Chromium.SignInAsync(other, "grace", password);
        await other.GotoAsync("/audit");
        await Assertions.Expect(other.GetByTestId("for-admins")).ToContainTextAsync("role admin");
        await SimulatedFixture.KeepAsync(other, "journey-audit-4-refused");
    }

    [Fact]
    public async Task Compare_two_VMs_on_the_same_axes()
    {
        var vms = await Simulated.VmsAsync(TestContext.Current.CancellationToken);
        var page = await Simulated.SignedInAsync();
        await page.GotoAsync("/compare");
        await page.GetByTestId("compare-a").PressSequentiallyAsync(vms[0].GetProperty("name").GetString()!);
        await page.GetByTestId("compare-a").PressAsync("Tab");
        await page.WaitForURLAsync("**/compare?a=*");
        await page.GetByTestId("compare-b").PressSequentiallyAsync(vms[5].GetProperty("name").GetString()!);
        await page.GetByTestId("compare-b").PressAsync("Tab");
        foreach (var vm in new[] { vms[0], vms[5] })
            await Assertions.Expect(page.GetByTestId("compare-graphs").Locator($"[data-series='{vm.GetProperty("name").GetString()}'] .legend-value").First).Not.ToHaveAttributeAsync("data-value", "");
        await SimulatedFixture.KeepAsync(page, "journey-compare");
    }
}
