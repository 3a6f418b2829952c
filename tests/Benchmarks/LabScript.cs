namespace Exitless.Benchmarks;

/// <summary>What runs inside the lab's host. It prints sections (<c>== name</c>) of <c>key value</c> lines.</summary>
internal static class LabScript
{
    public const string TakeVf = """
        pf=$(readlink -f /sys/class/net/eth1/device)
        echo 0 >$pf/sriov_drivers_autoprobe
        echo 2 >$pf/sriov_numvfs
        basename $(readlink -f $pf/virtfn0)
        """;

    /// <summary>Expects F, STEADY, OURS, VF and a function <c>start</c>. Counts of exits by reason and of user-space exits come from histogram triggers (Documentation/trace/histogram.rst).</summary>
    public const string Text = """
        exits=/sys/kernel/tracing/events/kvm/kvm_exit user=/sys/kernel/tracing/events/kvm/kvm_userspace_exit
        statistics() { (cd /sys/kernel/debug/kvm/*-*/ && grep . exits irq_exits halt_exits io_exits mmio_exits pf_fixed 2>/dev/null) | tr ':' ' '; }
        messages() { awk -v f="vfio-msix" -v d="($VF)" 'index($0, f) && index($0, d) {for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) n += $i} END {print "interrupts", n + 0}' /proc/interrupts; }
        # What our process tells of itself at SIGUSR1.
        resources() {
          [ $OURS = 1 ] || return
          rm -f $F/told; kill -USR1 $vmm
          n=0; until [ -e $F/told ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done
          for name in collections allocatedBytes; do sed -n "s/.*\"$name\":\([0-9]*\).*/$name \1/p" $F/told; done
        }
        total() { awk '/Hits:/ {print "userExits", $2}' $user/hist; }
        # Our agent binds the VF by itself; for the others it is bound here.
        if [ $OURS = 0 ]; then
          echo vfio-pci >/sys/bus/pci/devices/$VF/driver_override
          echo $VF >/sys/bus/pci/drivers_probe
        fi
        mkfifo $F/in $F/out
        sleep 100000 >$F/in &
        holder=$!
        echo 'hist:keys=exit_reason' >$exits/trigger
        echo 'hist:keys=reason' >$user/trigger
        start
        vmm=$!
        (
          while IFS= read -r line; do
            case "$line" in *"exitless: ready"*)
              statistics >$F/marker.part; total >>$F/marker.part; cat $exits/hist >$F/reasons; mv $F/marker.part $F/marker ;;
            *'"resources"'*) echo "$line" >$F/told.part; mv $F/told.part $F/told ;;
            esac
          done
        ) <$F/out &
        until [ -e $F/marker ]; do
          [ -e /proc/$vmm ] || { echo "== failed"; head -c 300 $F/messages | tr '\n' ' '; break; }
          sleep 0.2
        done
        if [ -e $F/marker ]; then
          echo "== marker"; cat $F/marker
          echo "== reasons"; awk '/hitcount:/ {key = ""; for (i = 1; i <= NF; i++) { if ($i == "exit_reason:") key = $(i + 1); if ($i == "hitcount:") print key, $(i + 1) }}' $F/reasons
          process=$vmm
          [ $OURS = 1 ] && process=$(sed -n 's/.*: process //p' $F/messages)
          if [ $STEADY -gt 0 ]; then
            sleep 15
            echo "== before"; resources; statistics; total; messages
            n=0; while [ $n -lt $STEADY ]; do
              [ $OURS = 1 ] && kill -USR1 $vmm
              sleep 1; n=$((n + 1))
            done
            echo "== after"; statistics; total; messages; resources
          fi
          echo "== process"
          awk '/^Size:/ {s = $2} /^Rss:/ {r = $2; resident += r} /^Pss:/ {p = $2; all += p; if (s >= 262144 && p > ram) {ram = p; rss = r}} END {print "pssKb", all - ram; print "rssKb", resident - rss; print "ramKb", ram}' /proc/$process/smaps
          echo "descriptors $(ls /proc/$process/fd | wc -l)"
          echo "threads $(ls /proc/$process/task | wc -l)"
        fi
        if [ $OURS = 1 ] && [ -e /proc/$vmm ]; then kill -TERM $vmm; kill -TERM $vmm; else kill -9 $vmm 2>/dev/null; fi
        n=0; while [ -e /proc/$vmm ] && [ $n -lt 60 ]; do sleep 0.5; n=$((n + 1)); done
        kill $holder
        if [ $OURS = 0 ]; then
          echo $VF >/sys/bus/pci/drivers/vfio-pci/unbind
          echo >/sys/bus/pci/devices/$VF/driver_override
        fi
        echo '!hist:keys=exit_reason' >$exits/trigger; echo '!hist:keys=reason' >$user/trigger
        true
        """;
}
