using System.Buffers.Binary;
using System.Text;
using Exitless.Lab.Initramfs;

namespace Exitless.Lab.Tests.Initramfs;

public sealed class KernelModuleTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>The least ELF64 object that has a .modinfo: header, the strings, a name table, three section headers.</summary>
    private static byte[] Module(string name, string depends)
    {
        var info = Encoding.UTF8.GetBytes($"license=GPL\0depends={depends}\0name={name}\0");
        var names = "\0.shstrtab\0.modinfo\0"u8.ToArray();
        int infoAt = 64, namesAt = infoAt + info.Length, table = (namesAt + names.Length + 7) & ~7;
        var elf = new byte[table + 3 * 64];
        "\u007fELF"u8.CopyTo(elf);
        elf[4] = 2;
        BinaryPrimitives.WriteUInt64LittleEndian(elf.AsSpan(0x28), (ulong)table);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(0x3A), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(0x3C), 3);
        BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(0x3E), 1);
        info.CopyTo(elf, infoAt);
        names.CopyTo(elf, namesAt);
        Section(1, 1, 3, namesAt, names.Length);
        Section(2, 11, 1, infoAt, info.Length);
        return elf;

        void Section(int index, uint nameAt, uint type, int at, int length)
        {
            var header = elf.AsSpan(table + index * 64);
            BinaryPrimitives.WriteUInt32LittleEndian(header, nameAt);
            BinaryPrimitives.WriteUInt32LittleEndian(header[4..], type);
            BinaryPrimitives.WriteUInt64LittleEndian(header[0x18..], (ulong)at);
            BinaryPrimitives.WriteUInt64LittleEndian(header[0x20..], (ulong)length);
        }
    }

    private KernelModules Tree(params (string Name, string Depends)[] modules)
    {
        foreach (var (name, depends) in modules)
        {
            var file = _folder.Write($"kernel/drivers/{name}.ko", "");
            File.WriteAllBytes(file, Module(name.Replace('-', '_'), depends));
        }
        return new KernelModules(_folder.Path, KernelModules.ReadWith("/nonexistent"));
    }

    private static async Task<string[]> OrderAsync(KernelModules tree, params string[] names)
        => [.. (await tree.InLoadOrderAsync(names, TestContext.Current.CancellationToken)).Select(m => m.Name)];

    [Fact]
    public async Task Modules_come_after_what_they_need_and_once_only()
    {
        var tree = Tree(("igb", "dca,i2c-algo-bit"), ("dca", ""), ("i2c-algo-bit", ""), ("vfio-pci", "vfio-pci-core,vfio"), ("vfio-pci-core", "vfio,irqbypass"), ("vfio", ""), ("irqbypass", ""));
        Assert.Equal(["dca", "i2c_algo_bit", "igb"], await OrderAsync(tree, "igb"));
        Assert.Equal(["vfio", "irqbypass", "vfio_pci_core", "vfio_pci"], await OrderAsync(tree, "vfio_pci", "vfio", "irqbypass"));
    }

    [Fact]
    public async Task What_is_built_in_needs_no_loading()
    {
        _folder.Write("modules.builtin", "kernel/drivers/virtio/virtio_pci.ko\nkernel/lib/crc16.ko\n");
        var tree = Tree(("ext4", "crc16,jbd2"), ("jbd2", ""));
        Assert.Equal(["jbd2", "ext4"], await OrderAsync(tree, "virtio-pci", "ext4"));
    }

    [Fact]
    public async Task A_module_that_is_not_there_is_named_with_who_needs_it()
    {
        var tree = Tree(("a", "b"), ("b", "c"));
        var problem = await Assert.ThrowsAsync<LabException>(() => OrderAsync(tree, "a"));
        Assert.Contains("no module c, which b needs", problem.Problem);
    }

    [Fact]
    public async Task A_circle_is_found()
        => Assert.Contains("a → b → a", (await Assert.ThrowsAsync<LabException>(() => OrderAsync(Tree(("a", "b"), ("b", "a")), "a"))).Problem);

    [Fact]
    public async Task A_file_that_is_no_module_is_refused_at_every_length()
    {
        var whole = Module("x", "");
        for (var length = 0; length < whole.Length; length += 7)
            Assert.Throws<LabException>(() => KernelModuleInfo.Read(whole.AsSpan(0, length), "x.ko"));
        _folder.Write("kernel/odd.ko.lzo", "");
        Assert.Contains(".lzo", (await Assert.ThrowsAsync<LabException>(() => OrderAsync(Tree(), "odd"))).Problem);
    }
}
