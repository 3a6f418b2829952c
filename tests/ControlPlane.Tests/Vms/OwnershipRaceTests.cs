using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Tests.Fixtures;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Vms;

/// <summary>A VF has one owner, whoever asks for it at the same instant, and wherever.</summary>
public sealed class OwnershipRaceTests(TestHost host) : IClassFixture<TestHost>
{
    private const int Races = 1000;

    [Fact]
    public async Task Of_two_requests_at_the_same_instant_one_wins_and_the_other_is_told_who_owns_it()
    {
        await using var replica = await host.ReplicaAsync();
        await using var agent = await ScriptedAgent.EnrolAsync(host, "contested");
        using (var link = await agent.ComeUpAsync())
            await link.HangUpAsync();
        var here = host.Services.GetRequiredService<IVmService>();
        var there = replica.Services.GetRequiredService<IVmService>();
        var operations = host.Services.GetRequiredService<IOperationLog>();
        var wins = (Here: 0, There: 0);
        for (var race = 0; race < Races; race++)
        {
            // Two replicas, and every other time two requests to one.
            var other = race % 2 == 0 ? there : here;
            using var both = new Barrier(2);
            var answers = await Task.WhenAll(TryAsync(here, $"a-{race}", both), TryAsync(other, $"b-{race}", both));
            var winner = Assert.Single(answers, a => a.Operation is not null).Operation!;
            var refusal = Assert.Single(answers, a => a.Refusal is not null).Refusal!;
            Assert.Equal("device-owned", refusal.Code);
            Assert.Contains($"'{winner.VmName}'", refusal.Detail, StringComparison.Ordinal);
            wins = winner.VmName![0] == 'a' ? (wins.Here + 1, wins.There) : (wins.Here, wins.There + 1);
            // Its host has never heard of it, so that it is gone at once.
            Assert.Equal(OperationState.Cancelled, (await operations.CancelAsync(winner.Id, TestHost.By, CancellationToken.None)).State);
        }
        // Both have won: neither is only ever late.
        Assert.True(wins is { Here: > 0, There: > 0 }, $"{wins}");

        Task<(OperationDto? Operation, ProblemException? Refusal)> TryAsync(IVmService vms, string name, Barrier both) => Task.Run(async () =>
        {
            both.SignalAndWait(TestContext.Current.CancellationToken);
            try
            {
                return ((OperationDto?)await vms.CreateAsync(Requests.Vm(agent.Id, start: false) with { Name = name, Devices = [new VmDeviceRequest(Inventories.Vf0)] }, TestHost.By, CancellationToken.None), (ProblemException?)null);
            }
            catch (ProblemException refusal)
            {
                return (null, refusal);
            }
        });
    }
}
