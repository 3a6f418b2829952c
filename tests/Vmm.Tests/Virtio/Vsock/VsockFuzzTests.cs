using CsCheck;
using Exitless.Linux;
using Exitless.Vmm.Virtio.Vsock;

namespace Exitless.Vmm.Tests.Virtio.Vsock;

/// <summary>A guest that sends anything, to host programs that do anything: the device neither throws nor breaks off, keeps its bounds, and a reset makes it usable again.</summary>
public sealed class VsockFuzzTests
{
    private static readonly Gen<uint> Number = Gen.OneOf(Gen.UInt, Gen.UInt[0, 4], Gen.Const(uint.MaxValue), Gen.Const(1u << 30), Gen.Const((1u << 30) + 1));

    private static readonly Gen<VsockHeader> Header = Gen.Select(
        Gen.Select(Gen.OneOf(Gen.Const((ulong)VsockMachine.Cid), Gen.Const((ulong)VsockMachine.Cid), Gen.Const((ulong)VsockMachine.Cid), Gen.ULong), Gen.OneOf(Gen.Const(2ul), Gen.Const(2ul), Gen.Const(2ul), Gen.ULong)),
        Gen.Select(Number, Number, Number, Number), Gen.Select(Gen.OneOf(Gen.Const((ushort)1), Gen.Const((ushort)1), Gen.UShort), Gen.OneOf(Gen.Int[0, 8], Gen.Int[0, ushort.MaxValue])),
        Gen.OneOf(Gen.UInt[0, 2500], Gen.Const(0u), Gen.UInt[0, 100], Gen.UInt[0, 2500], Gen.UInt[0, 100], Gen.UInt[0, 2500], Gen.UInt), Gen.UInt[0, 4],
        (cids, numbers, kind, length, flags) => new VsockHeader
        {
            SourceCid = cids.Item1,
            TargetCid = cids.Item2,
            SourcePort = numbers.Item1,
            TargetPort = numbers.Item2,
            Room = numbers.Item3,
            Forwarded = numbers.Item4,
            Type = kind.Item1,
            Operation = (VsockOperation)kind.Item2,
            Length = length,
            Flags = flags,
        });

    private static readonly Gen<(int Kind, VsockHeader Header, uint Port)> Act = Gen.Select(Gen.Int[0, 11], Header, Gen.UInt[0, 4]);

    [Fact]
    public void Any_descriptors_at_all_neither_throw_nor_allocate()
    {
        using var machine = new VsockMachine();
        AnyDescriptors.Sample(machine.Bus, machine.Bus.Device.Queues.Length);
    }

    [Fact]
    public void Any_packets_to_any_programs()
    {
        using var machine = new VsockMachine();
        var programs = new Queue<UnixSocket>();
        Act.Array[1, 24].Sample(
            acts =>
            {
                machine.Start(buffers: 8);
                foreach (var (kind, header, port) in acts)
                {
                    switch (kind)
                    {
                        case 0:
                            programs.Enqueue(machine.Program($"LISTEN {port}\n"));
                            break;
                        case 1:
                            programs.Enqueue(machine.Program($"CONNECT {port}\n and more"));
                            break;
                        case 2 when programs.TryDequeue(out var gone):
                            gone.Dispose();
                            machine.Serve();
                            break;
                        case 3 when programs.TryPeek(out var heard):
                            VsockMachine.Hear(heard);
                            machine.Serve();
                            break;
                        case 4:
                            while (machine.Packets > 0)
                                machine.Take();
                            break;
                        default:
                            machine.Send(header, new byte[Math.Min(header.Length, 2500)]);
                            break;
                    }
                }
                while (programs.Count > 40)
                    programs.Dequeue().Dispose();
                machine.Driver.Status = 0;
                machine.Serve();
                Assert.False(machine.Driver.NeedsReset);
            },
            iter: FuzzRuns.Count, threads: 1);
        foreach (var program in programs)
            program.Dispose();
        // It still works, once it starts anew.
        machine.Start();
        var (last, port) = machine.Connected(1024);
        machine.Send(VsockMachine.Header(VsockOperation.Data, 1024, port, 2), "hi"u8);
        Assert.Equal("hi", VsockMachine.Hear(last));
    }
}
