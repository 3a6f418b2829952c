using System.Buffers.Binary;
using Exitless.ControlPlane.Api;
using Exitless.ControlPlane.Live;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Exitless.ControlPlane.Tests.Fleet;

/// <summary>The stream behind the wall of small graphs, over the hub.</summary>
public sealed class WallTests(FleetFixture fleet) : IClassFixture<FleetFixture>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_frame_a_second_carries_the_sums_of_every_VM()
    {
        var vms = (await fleet.Host.Services.GetRequiredService<IFleetLists>().VmsAsync(new ListQuery(), Stop)).Items;
        await using var hub = await ConnectAsync();
        var rows = vms.ToDictionary(vm => vm.Id, _ => new List<double[]>());
        var frames = 0;
        await foreach (var frame in hub.StreamAsync<byte[]>("WatchWall", vms.Select(vm => vm.Id).ToArray(), 0, Stop))
        {
            frames++;
            foreach (var (index, row) in Rows(frame))
                rows[vms[index].Id].Add(row);
            if (rows.Values.All(of => of.Count >= 4))
                break;
            Assert.True(frames < 60, "Not every VM has sent four rows in sixty frames.");
        }
        foreach (var of in rows.Values)
        {
            Assert.Equal(of.Select(r => r[0]).Order().Distinct(), of.Select(r => r[0]));
            Assert.True(of[^1][1] > of[0][1], "exits rise");
            Assert.True(of[^1][5] > of[0][5], "device interrupts rise");
            Assert.All(of, r => Assert.True(r[1] >= r[2] + r[3] + r[4] - 8, "the kinds are parts of the whole"));
        }
    }

    [Fact]
    public async Task More_VMs_than_a_wall_holds_are_refused_in_words()
    {
        await using var hub = await ConnectAsync();
        var many = Enumerable.Range(0, 65).Select(_ => Guid.CreateVersion7()).ToArray();
        var refusal = await Assert.ThrowsAsync<HubException>(async () =>
        {
            await foreach (var _ in hub.StreamAsync<byte[]>("WatchWall", many, 0, Stop))
                break;
        });
        Assert.Contains("65 VMs are not between 1 and 64", refusal.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<(int Index, double[] Row)> Rows(byte[] frame)
    {
        Assert.Equal(4, frame[0]);
        for (var at = 1; at < frame.Length;)
        {
            var (index, count) = (BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(at)), BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan(at + 3)));
            Assert.Equal(1, frame[at + 2]);
            at += 5;
            for (var i = 0; i < count; i++)
            {
                var row = new double[WallStream.Columns + 1];
                for (var j = 0; j < row.Length; j++, at += sizeof(double))
                    row[j] = BinaryPrimitives.ReadDoubleLittleEndian(frame.AsSpan(at));
                yield return (index, row);
            }
        }
    }

    private async Task<HubConnection> ConnectAsync()
    {
        var host = fleet.Host;
        var connection = new HubConnectionBuilder().WithUrl(new Uri(host.Address, LiveHub.Path), o =>
        {
            o.AccessTokenProvider = () => Task.FromResult<string?>(host.Token);
            o.HttpMessageHandlerFactory = _ => host.Handler();
            o.WebSocketConfiguration = w => w.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Issuer == host.Authority.Certificate.Subject;
        }).AddMessagePackProtocol().Build();
        await connection.StartAsync(Stop);
        return connection;
    }
}
