using CsCheck;

namespace Exitless.Vmm.Tests.Virtio;

/// <summary>A driver that writes anything into the registers and the configuration space: nothing throws, and a reset makes the device usable again.</summary>
public sealed class HostileDriverTests
{
    private static readonly int[] Places = [0, 4, 8, 12, 0x10, 0x12, 0x14, 0x16, 0x18, 0x1a, 0x1c, 0x20, 0x24, 0x28, 0x30, 0x34, 0x1000, 0x2000, 0x3000, 0x3004, 0x4000, 0x400c, 0x401c, 0x5000, 0x7ffc];
    private static readonly int[] Registers = [4, 0x10, 0x34, 0x3c, 0x40, 0x42, 0x94, 0x98, 0x9c, 0xa0, 0x100];
    private static readonly ulong[] Values = [0, 1, 2, 3, 4, 6, 8, 0xb, 0xf, 0x80, 0x8000, 0xc000, 0xdff0_0000, 0xc000_0000, 0xfee0_0000, 0x10_0000, 0x10_2000, 0x10_3000, 0xffff_ffff, ulong.MaxValue];

    private static readonly Gen<(int Kind, int Place, int Size, ulong Value)> Act = Gen.Select(
        Gen.Int[0, 9],
        Gen.OneOf(Gen.Int[0, 0x7fff], Gen.Int[0, Places.Length - 1].Select(i => Places[i]), Gen.Int[0, Registers.Length - 1].Select(i => Registers[i])),
        Gen.Int[0, 3].Select(i => 1 << i),
        Gen.OneOf(Gen.ULong, Gen.Int[0, Values.Length - 1].Select(i => Values[i])));

    [Fact]
    public void Anything_may_be_written_anywhere()
    {
        using var machine = new BlockMachine(new MemoryDisk(1 << 20));
        Act.Array[1, 60].Sample(
            acts =>
            {
                foreach (var (kind, place, size, value) in acts)
                {
                    switch (kind)
                    {
                        case 0:
                            machine.Bus.Function.WriteConfig(place & 0xffc, Math.Min(size, 4), (uint)value);
                            break;
                        case 1:
                            machine.Bus.Function.ReadConfig(place & 0xffc, Math.Min(size, 4));
                            break;
                        case 2 or 3:
                            machine.Bus.Bus.TryReadMemory(ScriptedBus.Bar + (ulong)place, size, out _);
                            break;
                        case 4:
                            machine.Bus.Serve();
                            break;
                        default:
                            machine.Bus.Bus.WriteMemory(ScriptedBus.Bar + (ulong)place, size, value);
                            break;
                    }
                }
                Assert.Empty(machine.Bus.Kvm.Violations);
                machine.Bus.Function.Reset();
                var driver = new Driver(machine.Bus);
                Assert.False(driver.NeedsReset);
                Assert.Equal(0xf, driver.Status);
                driver.Status = 0;
            },
            iter: FuzzRuns.Count, threads: 1);
    }
}
