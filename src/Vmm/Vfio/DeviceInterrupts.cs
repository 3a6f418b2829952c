using Exitless.Vmm.Control;
using Exitless.Vmm.Pci;

namespace Exitless.Vmm.Vfio;

/// <summary>How a device's interrupts reach the guest.</summary>
internal enum InterruptMode
{
    None,
    Intx,
    Msi,
    Msix,
}

/// <summary>
/// Which kind of interrupt a device uses, as the guest chooses: MSI-X before MSI before INTx, one at a time, for VFIO gives one at a time. The old kind is
/// switched off before the new one is switched on. Not safe for several threads: the device's lock is held.
/// </summary>
/// <param name="view">The guest's view of configuration space.</param>
/// <param name="msixAt">Offset of the MSI-X capability.</param>
/// <param name="table">The MSI-X table; null if the device has none.</param>
/// <param name="msix">Its vectors.</param>
/// <param name="msiAt">Where MSI is; null if the device has none.</param>
/// <param name="msi">Its vectors.</param>
/// <param name="intx">The pin; null if the device has none, or the machine cannot serve it.</param>
internal sealed class DeviceInterrupts(ConfigSpace view, int msixAt, MsixTable? table, MsixVectors? msix, MsiLocation? msiAt, MsiVectors? msi, IntxLine? intx) : IDisposable
{
    private const uint AnyDecodeOrMaster = 7, IntxDisable = 0x400;

    public InterruptMode Mode { get; private set; }

    /// <summary>Looks at what the guest has switched on, and follows.</summary>
    /// <param name="command">The COMMAND register.</param>
    public void Update(uint command)
    {
        var wanted = Wanted(command);
        if (wanted != Mode)
        {
            SwitchOff();
            Mode = wanted;
            if (wanted == InterruptMode.Intx)
                intx!.Enable();
            else if (wanted == InterruptMode.Msi)
                msi!.Enable(1 << (int)(MsiControl >> 4 & 7), MsiAddress, MsiData);
        }
        else if (wanted == InterruptMode.Msi)
        {
            msi!.Update(MsiAddress, MsiData);
        }
        if (wanted == InterruptMode.Msix)
            table!.SetControl(true, (MsixControl & MsixTable.FunctionMaskBit) != 0);
    }

    /// <summary>The masks that wait take effect: the guest reads from the device.</summary>
    public void Settle() => msix?.Settle();

    /// <summary>As after a reset of the function.</summary>
    public void Reset()
    {
        SwitchOff();
        Mode = InterruptMode.None;
        table?.Reset();
        if (table is not null)
            view.Set(msixAt, (uint)(MsixTable.EnableBit | MsixTable.FunctionMaskBit) << 16, 0);
        if (msiAt is not null)
            view.Set(msiAt.Capability, MsiLocation.EnableBit | MsiLocation.CountBits, 0);
    }

    /// <summary>What is in use and what is not to be had.</summary>
    public DeviceVectors Describe(string address)
    {
        var used = new List<VectorInfo>();
        if (Mode == InterruptMode.Msix)
        {
            for (var i = 0; i < table!.Count; i++)
            {
                if (msix!.IsOnHost(i))
                    used.Add(new VectorInfo(i, msix.Gsi(i), table.IsMasked(i), msix.IsPending(i)));
            }
        }
        else if (Mode == InterruptMode.Msi)
        {
            for (var i = 0; i < msi!.Count; i++)
                used.Add(new VectorInfo(i, msi.Gsi(i), false, false));
        }
        var refusals = Mode == InterruptMode.Msi ? msi!.Refusals : msix?.Refusals;
        return new DeviceVectors(address, Mode == InterruptMode.Msi || table is null ? msi?.Most ?? 0 : table.Count, used)
        {
            Kind = Mode switch { InterruptMode.Msix => "msi-x", InterruptMode.Msi => "msi", InterruptMode.Intx => "intx", _ => "none" },
            PinGsi = Mode == InterruptMode.Intx && intx!.IsEnabled ? intx.Gsi : null,
            Refused = refusals?.Count ?? 0,
            RefusedBecause = refusals?.Reason is { Length: > 0 } reason ? reason : null,
        };
    }

    public void Dispose()
    {
        SwitchOff();
        Mode = InterruptMode.None;
    }

    private uint MsixControl => table is null ? 0 : view.Value(msixAt) >> 16;

    private uint MsiControl => msiAt is null ? 0 : view.Value(msiAt.Capability) >> 16;

    private ulong MsiAddress => view.Value(msiAt!.Capability + 4) | (msiAt.Is64Bit ? (ulong)view.Value(msiAt.Capability + 8) << 32 : 0);

    private uint MsiData => view.Value(msiAt!.Capability + (msiAt.Is64Bit ? 12 : 8)) & 0xffff;

    private InterruptMode Wanted(uint command)
    {
        if ((MsixControl & MsixTable.EnableBit) != 0)
            return InterruptMode.Msix;
        if ((MsiControl & 1) != 0)
            return InterruptMode.Msi;
        // VFIO itself follows the bit that disables INTx; a driver may use it at each interrupt, so it ends nothing here.
        var on = intx is not null && (command & AnyDecodeOrMaster) != 0 && (Mode == InterruptMode.Intx || (command & IntxDisable) == 0);
        return on ? InterruptMode.Intx : InterruptMode.None;
    }

    private void SwitchOff()
    {
        switch (Mode)
        {
            case InterruptMode.Msix:
                table!.SetControl(false, (MsixControl & MsixTable.FunctionMaskBit) != 0);
                break;
            case InterruptMode.Msi:
                msi!.Disable();
                break;
            case InterruptMode.Intx:
                intx!.Disable();
                break;
            default:
                break;
        }
    }
}
