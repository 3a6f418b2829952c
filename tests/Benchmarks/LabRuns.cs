using Exitless.Lab;
using Exitless.Lab.Cache;

namespace Exitless.Benchmarks;

/// <summary>A VMM as a peer of ours in the lab's host.</summary>
/// <param name="Name">Its name in the report.</param>
/// <param name="Plain">The command that runs the guest; its standard output and input are the guest's console. Words in capitals are filled in.</param>
/// <param name="Device">What gives it the VF.</param>
/// <param name="Missing">Why it is not there; null: it is.</param>
internal sealed record Peer(string Name, string Plain, string Device, string? Missing);

/// <summary>All peers, one after another, in one emulated host: the same kernel, initrd, command line and VF.</summary>
internal sealed class LabRuns(LabHost host, string vf, bool whole)
{
    private const string Kernel = "/var/lib/exitless/images/debian.vmlinuz", Initrd = "/var/lib/exitless/images/demo.initrd";
    private const string CommandLine = "console=ttyS0 quiet tsc=reliable exitless.interval=0";
    private const string Traffic = " exitless.ip=10.0.3.20/24 exitless.gateway=10.0.3.2 exitless.ping=10.0.3.2 exitless.rate=20";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(12);

    public static async Task<List<PeerResult>> MeasureAsync(string agent, string? kvmtool, bool whole)
    {
        var folder = Directory.CreateTempSubdirectory("exitless-bench-").FullName;
        try
        {
            var share = Directory.CreateDirectory(Path.Combine(folder, "share")).FullName;
            await PutAsync(share, "kvmtool", kvmtool, null);
            await PutQemuAsync(share);
            await File.WriteAllTextAsync(Path.Combine(share, "run.sh"), LabScript.Text);
            await using var host = await LabHost.StartAsync(
                new LabHostOptions
                {
                    Name = "bench",
                    RunRoot = Path.Combine(folder, "run"),
                    ShareFolder = share,
                    Files = [new LabFile(agent, "/opt/exitless-agent"), new LabFile(DirectKvm.Vmm(agent), "/opt/exitless-vmm")],
                    BootLimit = TimeSpan.FromMinutes(10),
                    Progress = Console.WriteLine,
                },
                CancellationToken.None);
            var vf = (await host.ShellAsync(LabScript.TakeVf, TimeSpan.FromMinutes(2), CancellationToken.None)).Output.Trim();
            var runs = new LabRuns(host, vf, whole);
            var results = new List<PeerResult>();
            foreach (var peer in Peers(kvmtool is not null))
                results.Add(await runs.MeasureAsync(peer));
            return results;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Peer[] Peers(bool hasKvmtool)
    {
        const string qemu = "/mnt/share/qemu/ld-linux-x86-64.so.2 --library-path /mnt/share/qemu /mnt/share/qemu/qemu-system-x86_64 -L /mnt/share/qemu -nodefaults -display none -no-reboot "
            + "-accel kvm -cpu host -smp 1 -m 256M -serial stdio -kernel KERNEL -initrd INITRD";
        return
        [
            new Peer(PeerResult.Ours, "/opt/exitless-agent boot SPEC --json --run-dir $F/run", "", null),
            new Peer("kvmtool", "env HOME=$F /mnt/share/kvmtool/ld-linux-x86-64.so.2 --library-path /mnt/share/kvmtool /mnt/share/kvmtool/lkvm run -k KERNEL -i INITRD -m 256 -c 1 --console serial --network mode=none --name g",
                "--vfio-pci VF", hasKvmtool ? null : "no path to its binary was given (--kvmtool)"),
            new Peer(PeerResult.Q35, qemu + " -M q35", "-device pcie-root-port,id=rp,slot=1 -device vfio-pci,host=VF,bus=rp", null),
            new Peer("QEMU microvm", qemu + " -M microvm,acpi=on,pcie=on", "-device vfio-pci,host=VF", null),
        ];
    }

    private async Task<PeerResult> MeasureAsync(Peer peer)
    {
        if (peer.Missing is { } missing)
            return new PeerResult(peer.Name, missing, null, null);
        Console.WriteLine($"{peer.Name}: without a device");
        var plain = await RunAsync(peer, withVf: false);
        Console.WriteLine($"{peer.Name}: with a VF");
        var device = await RunAsync(peer, withVf: true);
        return new PeerResult(peer.Name, null, plain, device);
    }

    private async Task<Measurement> RunAsync(Peer peer, bool withVf)
    {
        var line = CommandLine + (withVf ? Traffic : "");
        var ours = string.Equals(peer.Name, PeerResult.Ours, StringComparison.Ordinal);
        var command = (peer.Plain + (withVf ? " " + peer.Device : "")).Replace("KERNEL", Kernel, StringComparison.Ordinal).Replace("INITRD", Initrd, StringComparison.Ordinal)
            .Replace("VF", vf, StringComparison.Ordinal).Replace("SPEC", "$F/spec.json", StringComparison.Ordinal);
        if (!ours)
            command += $" {(peer.Name == "kvmtool" ? "-p" : "-append")} \"{line}\"";
        var devices = withVf ? $$"""{"address":"{{vf}}"}""" : "";
        var spec = $$"""{"kernel":"{{Kernel}}","initrd":"{{Initrd}}","memoryMib":256,"commandLine":"{{line}}","devices":[{{devices}}]}""";
        var steady = !withVf ? 0 : ours ? whole ? 600 : 60 : 20;
        var script = $"F=/run/bench; rm -rf $F; mkdir -p $F\ncat >$F/spec.json <<'SPEC'\n{spec}\nSPEC\nSTEADY={steady} OURS={(ours ? 1 : 0)} VF={vf}\nstart() {{ {command} <$F/in >$F/out 2>$F/messages & }}\n. /mnt/share/run.sh\n";
        try
        {
            var result = await host.ShellAsync(script, Limit + TimeSpan.FromSeconds(steady), CancellationToken.None);
            return Measurement.Parse(result.Output);
        }
        catch (TimeoutException e)
        {
            return Measurement.Failed(e.Message);
        }
    }

    private static async Task PutQemuAsync(string share)
    {
        var files = LabFiles.Read(LabCache.Root)!;
        var program = new QemuProgram(files.Qemu);
        await PutAsync(share, "qemu", Path.Combine(files.Qemu, "usr/bin/qemu-system-x86_64"), program.Environment);
        foreach (var rom in (string[])["seabios/bios-256k.bin", "seabios/bios-microvm.bin", "qemu/linuxboot_dma.bin", "qemu/kvmvapic.bin", "qemu/pvh.bin"])
        {
            var file = Path.Combine(files.Qemu, "usr/share", rom);
            if (File.Exists(file))
                File.Copy(file, Path.Combine(share, "qemu", Path.GetFileName(rom)));
        }
    }

    private static async Task PutAsync(string share, string folder, string? binary, IReadOnlyDictionary<string, string>? environment)
    {
        if (binary is null)
            return;
        var target = Directory.CreateDirectory(Path.Combine(share, folder)).FullName;
        var ldd = await Tool.TryAsync("ldd", [binary], CancellationToken.None, environment);
        foreach (var library in SharedLibraries.ParseLdd(ldd.Output, binary).Values.Append(binary))
            File.Copy(library, Path.Combine(target, Path.GetFileName(library)), overwrite: true);
        if (folder == "kvmtool" && Path.GetFileName(binary) != "lkvm")
            File.Move(Path.Combine(target, Path.GetFileName(binary)), Path.Combine(target, "lkvm"));
    }
}
